"""The example of docs/agents.md: run with PYTHONPATH=config/agents and entrypoint = "concierge:concierge"."""

from bridge.call import Call


async def concierge(call: Call) -> None:
    await call.say("Front desk. Press one for a table, two for a room.")
    choice = await call.gather(digits=1, timeout_s=5)
    if choice == "1":
        await call.say("Tables are free from seven o'clock on.")
    elif choice == "2":
        heard = await call.say("We have a room with a view of the harbour, and one with a view of the lift.")
        if heard.interrupted:
            await call.say("I will keep it short: the harbour it is.")
    await call.hang_up()
