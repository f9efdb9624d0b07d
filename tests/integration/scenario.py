"""Reads the scenarios of tests/isolation: see the README there."""
import collections
import dataclasses
import itertools
import pathlib
import re
import shlex

DIRECTORY = pathlib.Path(__file__).resolve().parents[1] / "isolation"

# Directives that are steps; what else begins a line is a header's word, or
# the name of an actor before ":", ">" or "gets".
STEPS = ("busy", "cancel", "check", "dies", "fails", "finish", "give", "goes",
         "hears", "looks", "names", "queued", "shows", "silent",
         "unsuspected", "waits")
TIMED = ("fails", "goes")
OUTCOMES = ("waits", "postgresql")


class Wrong(Exception):
    """The file is not what the README says."""


@dataclasses.dataclass
class Step:
    where: str			# file and line
    op: str			# of STEPS, or "call", "send", "gets"
    who: str = ""		# the actor of the last three
    text: str = ""
    expected: str = None


@dataclasses.dataclass
class Control:
    how: str			# "off", "plain" or KEY = VALUE
    outcome: str		# one of OUTCOMES


@dataclasses.dataclass
class Scenario:
    name: str			# the file's, and what varies in brackets
    within_ms: float = None
    databases: tuple = ("main",)
    settings: dict = dataclasses.field(default_factory=dict)
    setup: list = dataclasses.field(default_factory=list)
    clients: dict = dataclasses.field(default_factory=dict)
    foreign: dict = dataclasses.field(default_factory=dict)
    actors: dict = dataclasses.field(default_factory=dict)
    controls: list = dataclasses.field(default_factory=list)
    contrast: str = None	# another file, where it is a deadlock
    steps: list = dataclasses.field(default_factory=list)

    def settings_with(self, control=None):
        """The daemon's config, groups of keys."""
        groups = collections.defaultdict(dict)
        given = dict(self.settings)
        if control and control.how == "off":
            given["deadlock.mode"] = "off"
        elif control and control.how != "plain":
            given.update([assignment(control.how)])
        for key, value in given.items():
            group, _, name = key.rpartition(".")
            (groups[group] if group else groups)[name] = value
        return dict(groups)


def value_of(text):
    """A number or a text, which may be in quotes."""
    return int(text) if text.isdigit() else text.strip('"')


def assignment(text):
    key, _, value = text.partition("=")
    return key.strip(), value_of(value.strip())


# -- lines: comments off, loops unrolled, {expressions} filled in

def fill(text, names):
    return re.sub(r"\{([^{}]+)\}", lambda match: str(
        eval(match[1], {"__builtins__": {}}, names)), text)


def unrolled(lines, names):
    """(number, text) of each line.  `each i FROM..TO` repeats the rest of its
    line or, when nothing follows, the indented lines below it."""
    lines = collections.deque(lines)
    while lines:
        number, text = lines.popleft()
        loop = re.match(r"\s*each (\w+) (\S+)\.\.(\S+)(.*)", text)
        if not loop:
            yield number, fill(text, names).strip()
            continue
        body = [(number, loop[4])]
        if not loop[4].strip():
            depth = indent(text)
            body = []
            while lines and indent(lines[0][1]) > depth:
                body.append(lines.popleft())
        for i in range(int(fill(loop[2], names)),
                       int(fill(loop[3], names)) + 1):
            yield from unrolled(body, names | {loop[1]: i})


def indent(text):
    return len(text) - len(text.lstrip())


def lines_of(path):
    for number, text in enumerate(path.read_text().splitlines(), 1):
        text = re.sub(r"(^|\s)#\s.*|^#$", "", text.expandtabs()).rstrip()
        if text:
            yield number, text


# -- one line each

def take_header(scenario, word, rest):
    if word == "within":
        scenario.within_ms = float(rest)
    elif word == "databases":
        scenario.databases = tuple(rest.split())
    elif word == "set":
        scenario.settings.update([assignment(rest)])
    elif word == "setup":
        scenario.setup.append(database_first(rest, scenario))
    elif word == "client":
        name, *words = shlex.split(rest)
        scenario.clients[name] = words
    elif word == "foreign":
        name, *words = rest.split()
        place, application = database_first(" ".join(words), scenario)
        scenario.foreign[name] = (place, application or "foreign")
    elif word == "actor":
        name, _, client, *words = rest.split()
        if any(w[0] not in "%/" and w not in ("tagged", "untagged")
               for w in words):
            raise Wrong(f"{scenario.name}: actor {rest}")
        scenario.actors[name] = (client, words)
    elif word == "control":
        how, _, outcome = rest.rpartition(" ")
        if outcome in OUTCOMES:
            scenario.controls.append(Control(how, outcome))
        else:
            scenario.contrast = rest
    else:
        return False
    return True


def database_first(text, scenario):
    """(database, the rest) of text that may begin with /database."""
    if text.startswith("/"):
        name, _, text = text[1:].partition(" ")
        return name, text
    return scenario.databases[0], text


def step_of(where, text):
    acts = re.match(r"(\w+)(:|>| gets\b)\s*(.*)", text)
    word, _, rest = text.partition(" ")
    if not acts:
        if word not in STEPS:
            raise Wrong(f"{where}: what is {word!r}?")
        return Step(where, word, text=rest.strip())
    op = {":": "call", ">": "send", " gets": "gets"}[acts[2]]
    if op == "gets":
        return Step(where, op, acts[1], expected=acts[3] or None)
    request, arrow, expected = acts[3].partition(" -> ")
    if arrow and op == "send":
        raise Wrong(f"{where}: what is sent has no reply yet")
    return Step(where, op, acts[1], request.strip(),
                expected.strip() if arrow else None)


def read(path):
    """The scenarios of one file: several when something varies."""
    lines = list(lines_of(path))
    varied = [text.split(None, 1)[1].partition("=") for _, text in lines
              if text.startswith("vary ")]
    lines = [line for line in lines if not line[1].startswith("vary ")]
    names = [name.strip() for name, _, _ in varied]
    choices = [[value_of(v.strip()) for v in values.split("|")]
               for _, _, values in varied]
    for chosen in itertools.product(*choices):
        given = ",".join(f"{n}={v}" for n, v in zip(names, chosen))
        scenario = Scenario(path.stem + (f"[{given}]" if given else ""))
        for number, text in unrolled(lines, dict(zip(names, chosen))):
            word, _, rest = text.partition(" ")
            if scenario.steps or not take_header(scenario, word,
                                                 rest.strip()):
                scenario.steps.append(
                    step_of(f"{path.name}:{number}", text))
        validate(scenario)
        yield scenario


def validate(scenario):
    ops = [step.op for step in scenario.steps]
    timed = [op for op in ops if op in TIMED]
    if timed and scenario.within_ms is None:
        raise Wrong(f"{scenario.name}: no time limit")
    if "check" not in ops:
        raise Wrong(f"{scenario.name}: checks nothing afterwards")
    if not scenario.controls and not scenario.contrast:
        raise Wrong(f"{scenario.name}: has no control")
    if scenario.controls and not timed:
        raise Wrong(f"{scenario.name}: nothing to end in its control")
    if scenario.contrast and not (
            DIRECTORY / f"{scenario.contrast}.spec").exists():
        raise Wrong(f"{scenario.name}: no file {scenario.contrast}.spec")


def read_all():
    return [scenario for path in sorted(DIRECTORY.glob("*.spec"))
            for scenario in read(path)]
