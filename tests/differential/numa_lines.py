"""Random NUMA command lines, right and wrong, drawn so that most mistakes come up and many lines are right."""

from __future__ import annotations

from random import Random

NAMES = ("a", "b", "c")
SMP = (
    "",
    "-smp 2",
    "-smp 4",
    "-smp 4,sockets=2",
    "-smp 2,maxcpus=4",
    "-smp 3,maxcpus=8,sockets=2",
    "-smp 4,sockets=2,cores=2,threads=1",
)
LEVELS = ("socket-id", "die-id", "cluster-id", "core-id", "thread-id")
HIERARCHIES = ("memory", "memory", "first-level", "second-level", "third-level")
DATA_TYPES = (
    "access-latency",
    "read-latency",
    "write-latency",
    "access-bandwidth",
    "read-bandwidth",
    "write-bandwidth",
)
LATENCIES = (0, 1, 5, 10, 100, 150, 65530, 65534, 65535, 65536, 655340, 1000000, 123456789, 2**64 - 1)
BANDWIDTHS = ("0", "1M", "5M", "10G", "3T", "65534M", "65535M", "64G", "1000000M", "1023", "1.5M", "2P")


def option(random: Random, key: str, value: object, likely: float = 0.99) -> str:
    """`,key=value` as a rule, now and then nothing."""
    return f",{key}={value}" if random.random() < likely else ""


class LineGenerator:
    """Makes the `-numa` options of one machine with `nodes` nodes and `cpus` CPUs."""

    def __init__(self, random: Random, levels: tuple[str, ...], *, hmat: bool) -> None:
        self.random = random
        self.levels = levels
        """The levels of the topology that `-numa cpu` can name."""
        self.hmat = hmat
        self.nodes = random.randint(1, 3)

    def node_number(self) -> int:
        """A node that is likely to be there."""
        if self.random.random() < 0.97:
            return self.random.randrange(self.nodes)
        return self.random.choice((self.nodes, self.nodes + 1, 127, 128))

    def node(self, number: int) -> str:
        random = self.random
        text = "-numa node"
        text += option(random, "nodeid", number if random.random() < 0.98 else self.node_number(), 0.4)
        names_cpus = random.random() < (0.8 if self.hmat and number == 0 else 0.4)
        if names_cpus:
            odd = ("0", "0-1", "1-2", "3", "4", "8", "0-99999")
            text += f",cpus={number if random.random() < 0.9 else random.choice(odd)}"
        text += option(random, "memdev", NAMES[number] if random.random() < 0.98 else random.choice("abcz"), 0.98)
        if self.hmat or random.random() < 0.01:
            initiator = number if names_cpus else 0
            text += option(random, "initiator", initiator if random.random() < 0.95 else self.node_number() % 128, 0.8)
        return text

    def distance(self, source: int, destination: int) -> str:
        random = self.random
        if random.random() < 0.02:
            source = self.node_number()
        value = 10 if source == destination else random.choice((20, 20, 30, 11, 10, 255))
        value = random.choice((value,) * 60 + (0, 9, 21, 256, -1))
        parts = option(random, "src", source) + option(random, "dst", destination) + option(random, "val", value)
        return f"-numa dist{parts}"

    def cpu(self) -> str:
        random = self.random
        levels = random.sample(
            LEVELS if random.random() < 0.1 else self.levels, random.choice((0, 1, 1, 1, min(2, len(self.levels))))
        )
        places = "".join(option(random, level, random.choice((0, 0, 0, 1, 1, 2, 3, 7, -1))) for level in levels)
        return f"-numa cpu{option(random, 'node-id', self.node_number() % 128)}{places}"

    def latency_or_bandwidth(self) -> str:
        random = self.random
        data_type = random.choice(DATA_TYPES)
        keys = [data_type.rpartition("-")[2]]
        if random.random() < 0.05:
            keys = random.choice(([], ["latency"], ["bandwidth"], ["latency", "bandwidth"]))
        values = {"latency": random.choice(LATENCIES), "bandwidth": random.choice(BANDWIDTHS)}
        text = "-numa hmat-lb"
        text += option(random, "initiator", random.choice((0, 0, 0, self.node_number())))
        text += option(random, "target", self.node_number())
        text += option(random, "hierarchy", random.choice(HIERARCHIES))
        text += option(random, "data-type", data_type)
        return text + "".join(option(random, key, values[key]) for key in keys)

    def cache(self) -> str:
        random = self.random
        text = "-numa hmat-cache"
        text += option(random, "node-id", self.node_number())
        text += option(random, "size", random.choice(("10K", "20K", "64K", "1M", "0")))
        text += option(random, "level", random.choice((1, 1, 1, 2, 2, 3, 0, 4, 255, 256)))
        text += option(random, "associativity", random.choice(("none", "direct", "complex", "none", "direct", "x")))
        text += option(random, "policy", random.choice(("none", "write-back", "write-through")))
        return text + option(random, "line", random.choice((64, 64, 8, 0, 65536)))

    def line(self) -> str:
        random = self.random
        parts = [self.node(number) for number in range(self.nodes)]
        if random.random() < 0.5:
            pairs = [(a, b) for a in range(self.nodes) for b in range(self.nodes) if a != b or random.random() < 0.2]
            parts += [self.distance(*pair) for pair in pairs if random.random() < 0.9]
        parts += [self.cpu() for _ in range(random.choice((0, 0, 0, 1, 2)))]
        if self.hmat or random.random() < 0.03:
            parts += [self.latency_or_bandwidth() for _ in range(random.randint(0, 6))]
            parts += [self.cache() for _ in range(random.choice((0, 0, 1, 3)))]
        if random.random() < 0.02:
            random.shuffle(parts)
        return " ".join(parts)


def random_line(seed: int, machines: tuple[str, ...], levels: tuple[str, ...], size_of_node: str = "64M") -> str:
    """A command line drawn from `seed`, with one of `machines`."""
    random = Random(seed)
    hmat = random.random() < 0.5
    generator = LineGenerator(random, levels, hmat=hmat)
    machine = random.choice(machines) + (",hmat=on" if hmat else "")
    unit = int(size_of_node.rstrip("M"))
    memory = unit * (generator.nodes if random.random() < 0.97 else 4)
    backends = " ".join(f"-object memory-backend-ram,id={name},size={size_of_node}" for name in NAMES)
    return f"-M {machine} -m {memory}M {random.choice(SMP)} {backends} {generator.line()}"
