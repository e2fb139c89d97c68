"""`thread/start`, `thread/resume`, `thread/fork` and the small methods of loaded threads."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Handler, Reply
from engine.threads import Answer, Client
from projections import protocol as p


def client(ctx: Context) -> Client:
    """The asking connection as the engine knows it."""
    return Client(ctx.connection.id, ctx.engine.originator)


def answered(ctx: Context, answer: Answer) -> Reply:
    """Subscribe the connection, answer, then say what follows the answer."""
    ctx.subscribe(answer.thread_id)

    def after() -> None:
        for note in answer.then:
            ctx.engine.sink.publish(note)

    return Reply(answer.result, after)


async def start(ctx: Context, params: p.ThreadStartParams) -> Reply:
    """A new thread."""
    return answered(ctx, await ctx.engine.threads.start(params, client(ctx)))


async def resume(ctx: Context, params: p.ThreadResumeParams) -> Reply:
    """A stored thread, or one that is loaded already."""
    return answered(ctx, await ctx.engine.threads.resume(params, client(ctx)))


async def fork(ctx: Context, params: p.ThreadForkParams) -> Reply:
    """A copy of a thread that goes its own way."""
    return answered(ctx, await ctx.engine.threads.fork(params, client(ctx)))


async def loaded_list(ctx: Context, params: p.ThreadLoadedListParams) -> Reply:
    """The loaded threads, a page of ids."""
    return Reply(ctx.engine.reading.loaded(params))


async def list_(ctx: Context, params: p.ThreadListParams) -> Reply:
    """A page of stored threads."""
    return Reply(await ctx.engine.reading.list_threads(params))


async def read(ctx: Context, params: p.ThreadReadParams) -> Reply:
    """One thread, without loading it."""
    return Reply(await ctx.engine.reading.read(params))


async def turns_list(ctx: Context, params: p.ThreadTurnsListParams) -> Reply:
    """A page of a thread's turns."""
    return Reply(await ctx.engine.reading.turns(params))


async def inject_items(ctx: Context, params: p.ThreadInjectItemsParams) -> Reply:
    """Items for the model's history, without a turn."""
    await ctx.engine.edits.inject_items(params)
    return Reply({})


async def rollback(ctx: Context, params: p.ThreadRollbackParams) -> Reply:
    """Drop the last turns."""
    return Reply(await ctx.engine.edits.rollback(params))


async def set_name(ctx: Context, params: p.ThreadSetNameParams) -> Reply:
    """Name a thread."""
    return Reply({}, await ctx.engine.filing.set_name(params))


async def metadata_update(ctx: Context, params: p.ThreadMetadataUpdateParams) -> Reply:
    """Patch a thread's git data."""
    return Reply(await ctx.engine.filing.metadata_update(params))


async def memory_mode(ctx: Context, params: p.ThreadMemoryModeSetParams) -> Reply:
    """Turn a thread's memory on or off."""
    await ctx.engine.filing.memory_mode(params)
    return Reply({})


async def archive(ctx: Context, params: p.ThreadArchiveParams) -> Reply:
    """Put a thread away."""
    note = await ctx.engine.filing.archive(params)
    ctx.forget(params.thread_id)
    return Reply({}, lambda: ctx.engine.sink.publish(note))


async def unarchive(ctx: Context, params: p.ThreadUnarchiveParams) -> Reply:
    """Bring it back."""
    result, note = await ctx.engine.filing.unarchive(params)
    return Reply(result, lambda: ctx.engine.sink.publish(note))


async def unsubscribe(ctx: Context, params: p.ThreadUnsubscribeParams) -> Reply:
    """Stop hearing of a thread; it stays loaded."""
    thread_id = ctx.engine.reading.check_id(params.thread_id)
    if ctx.engine.threads.loaded(thread_id) is None:
        return Reply(p.ThreadUnsubscribeResponse(status="notLoaded"))
    left = ctx.unsubscribe(thread_id)
    return Reply(p.ThreadUnsubscribeResponse(status="unsubscribed" if left else "notSubscribed"))


async def increment_elicitation(ctx: Context, params: p.ThreadIncrementElicitationParams) -> Reply:
    """A client asks the user something on its own."""
    count = ctx.engine.edits.elicitations(params.thread_id, 1)
    return Reply(p.ThreadIncrementElicitationResponse(count=count, paused=count > 0))


async def decrement_elicitation(ctx: Context, params: p.ThreadDecrementElicitationParams) -> Reply:
    """It has its answer."""
    count = ctx.engine.edits.elicitations(params.thread_id, -1)
    return Reply(p.ThreadDecrementElicitationResponse(count=count, paused=count > 0))


async def approve_denied(ctx: Context, params: p.ThreadApproveGuardianDeniedActionParams) -> Reply:
    """Allow an action that an automatic review has denied."""
    await ctx.engine.edits.approve_denied(params)
    return Reply({})


HANDLERS: dict[str, Handler] = {
    "thread/start": start,
    "thread/resume": resume,
    "thread/fork": fork,
    "thread/list": list_,
    "thread/loaded/list": loaded_list,
    "thread/read": read,
    "thread/turns/list": turns_list,
    "thread/inject_items": inject_items,
    "thread/rollback": rollback,
    "thread/name/set": set_name,
    "thread/metadata/update": metadata_update,
    "thread/memoryMode/set": memory_mode,
    "thread/archive": archive,
    "thread/unarchive": unarchive,
    "thread/unsubscribe": unsubscribe,
    "thread/approveGuardianDeniedAction": approve_denied,
    "thread/increment_elicitation": increment_elicitation,
    "thread/decrement_elicitation": decrement_elicitation,
}
