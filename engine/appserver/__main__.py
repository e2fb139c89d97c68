"""`python -m engine.appserver`: the same as `rollout-engine app-server`."""

import sys

from engine.cli import main

main(["app-server", *sys.argv[1:]])
