"""Configuration: config.toml of the reference as it is, flags, profiles, project layers and trust."""

from engine.config.config import Config, WorkspaceWrite, load, load_or_default, rule_folders
from engine.config.errors import ConfigError, Spot, os_error
from engine.config.features import ALIASES, FEATURES, Feature, deprecations
from engine.config.layers import Layer, parse_flag
from engine.config.providers import BUILT_IN, DEMO, Provider
from engine.config.trust import git_root, project_root, record_trusted, trust_root

__all__ = [
    "ALIASES",
    "BUILT_IN",
    "DEMO",
    "FEATURES",
    "Config",
    "ConfigError",
    "Feature",
    "Layer",
    "Provider",
    "Spot",
    "WorkspaceWrite",
    "deprecations",
    "git_root",
    "load",
    "load_or_default",
    "os_error",
    "parse_flag",
    "project_root",
    "record_trusted",
    "rule_folders",
    "trust_root",
]
