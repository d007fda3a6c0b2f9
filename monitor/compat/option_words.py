"""The options that make a contract, as words that can be changed one by one."""

from __future__ import annotations

from ...commands.keyval import parse_opts

IMPLIED = {"machine": "type", "M": "type", "m": "size", "object": "qom-type", "device": "driver", "numa": "type"}
WITHOUT_VALUE = ("nodefaults", "mem-prealloc")


class OptionWords:
    """Options in order. Every change gives others; these stay as they are."""

    def __init__(self, options: list[tuple[str, str | None]]) -> None:
        self._options = options

    @classmethod
    def of(cls, words: tuple[str, ...]) -> OptionWords:
        """The options in the words of a contract."""
        options: list[tuple[str, str | None]] = []
        rest = iter(words)
        for word in rest:
            name = word.lstrip("-")
            name = {"M": "machine"}.get(name, name)
            options.append((name, None if name in WITHOUT_VALUE else next(rest)))
        return cls(options)

    @property
    def words(self) -> tuple[str, ...]:
        """All of them as words."""
        return tuple(word for name, value in self._options for word in (f"-{name}", value) if word is not None)

    def found(self, name: str) -> list[tuple[int, dict[str, str]]]:
        """The options of a name, each with its place and its pairs; values that are JSON are passed over."""
        return [
            (place, _pairs(name, value))
            for place, (option, value) in enumerate(self._options)
            if option == name and value is not None and not value.startswith("{")
        ]

    def with_pairs(self, place: int, **pairs: str | None) -> OptionWords:
        """With some pairs of one option set, or taken away; `_` in a key is `-`."""
        name, value = self._options[place]
        found = _pairs(name, value or "")
        for key, text in pairs.items():
            key = key.replace("_", "-")
            if text is None:
                found.pop(key, None)
            else:
                found[key] = text
        options = list(self._options)
        options[place] = name, _text(name, found)
        return OptionWords(options)

    def without(self, *places: int) -> OptionWords:
        """Without the options at some places."""
        return OptionWords([option for place, option in enumerate(self._options) if place not in places])

    def add(self, name: str, value: str) -> OptionWords:
        """With one more at the end."""
        return OptionWords([*self._options, (name, value)])

    def set_once(self, name: str, **pairs: str | None) -> OptionWords:
        """With some pairs of an option that counts once, which is added where it is missing."""
        found = self.found(name)
        if found:
            return self.with_pairs(found[-1][0], **pairs)
        return self.add(name, _text(name, {key.replace("_", "-"): text for key, text in pairs.items() if text}))

    def backend(self, name: str) -> tuple[int, dict[str, str]] | None:
        """The `-object` of that id."""
        return next((each for each in self.found("object") if each[1].get("id") == name), None)

    def renamed(self, old: str, new: str) -> OptionWords:
        """With a backend of another id, wherever it is named."""
        changed = self
        for option, key in (("object", "id"), ("machine", "memory-backend"), ("numa", "memdev"), ("device", "memdev")):
            for place, pairs in changed.found(option):
                if pairs.get(key) == old:
                    changed = changed.with_pairs(place, **{key: new})
        return changed


def _pairs(name: str, value: str) -> dict[str, str]:
    return {key: "on" if text is None else text for key, text in parse_opts(value, IMPLIED.get(name))}


def _text(name: str, pairs: dict[str, str]) -> str:
    implied = IMPLIED.get(name)
    parts = [pairs[implied].replace(",", ",,")] if implied in pairs else []
    parts += [f"{key}={text.replace(',', ',,')}" for key, text in pairs.items() if key != implied]
    return ",".join(parts)
