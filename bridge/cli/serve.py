"""``bridge serve``."""

from __future__ import annotations

from typing import Literal

from bridge.cli.running import ConfigPath, log_to_stderr, run


def serve(
    *,
    config: ConfigPath = None,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
) -> int:
    """Serve phone calls until SIGTERM or Ctrl-C.

    Prints where it listens, and the address to give to the carrier. When stopped, new calls get 503, live calls
    finish (for up to `server.drain_timeout_s`), and what is left is closed. A second Ctrl-C closes it at once.

    Args:
        config: a TOML file, such as `bridge init` writes. Any key can also be set in the environment as
            BRIDGE_SECTION__KEY.
        log_level: how much to say on standard error.
    """
    from bridge.config import load_config
    from bridge.server.serve import Server
    from bridge.server.serve import serve as serve_until_stopped

    def ready(server: Server) -> None:
        print(f"bridge: listening on {settings.server.host}:{server.port}", flush=True)
        for name, carrier in server.runtime.carriers.items():
            urls = server.runtime.admission.urls(name)
            way = f"calls POST {urls.answer}" if carrier.needs_token else f"opens {urls.media}"
            print(f"bridge: {name} {way}", flush=True)

    log_to_stderr(log_level)
    settings = load_config(config)
    return run(serve_until_stopped(settings, source=str(config or "environment"), on_ready=ready))
