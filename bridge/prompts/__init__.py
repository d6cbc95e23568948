"""Audio that is ready before anybody needs it, and what is said where it is not.

Strategy:

- A prompt is a recording in memory: 8 kHz mu-law, no network and no disk on the way out (`prompt`).
- Prompts are named in files (`book`), cut into what is always the same and what a caller's own data fill in
  (`template`, `spoken_forms`), rendered ahead through Lightning (`renderer`) and kept by all that changes their sound
  (`key`, `cache`).
- What a call plays is a `Rendition`: parts that are ready, and parts that the call's voice has to speak (`shelf`).
"""

from bridge.prompts.prompt import Prompt, apology, goodbye, load_prompt, one_moment
from bridge.prompts.rendition import Rendition, ToSpeak

__all__ = ["Prompt", "Rendition", "ToSpeak", "apology", "goodbye", "load_prompt", "one_moment"]
