"""Functions that use each construct that is translated, for test_translation.py: each is called as Python and natively."""

from operator import is_


class Point:
    __slots__ = ("next", "x", "y")

    def __init__(self, x, y=0):
        self.x = x
        self.y = y
        self.next = None

    def __repr__(self):
        return "Point"

    def moved(self, by):
        return Point(self.x + by, self.y + by)


class Other:
    def __init__(self):
        self.x, self.y, self.next = 10, 20, None

    def __repr__(self):
        return "Other"


class Odd:
    """Its length is no number, its truth raises."""

    def __len__(self):
        raise ValueError("no length")

    def __repr__(self):
        return "Odd"

    def __bool__(self):
        raise KeyError("no truth")


def slot(p):
    return p.x


def chain(p):
    return p.next.next.x


def set_slot(p, value):
    p.x = value
    p.y = p.x
    return p.y


def add_slot(p, n):
    p.x += n
    return p.x


def compare(a, b):
    return (a is b, a is not b, a == b, a != b, not a, a in (1, 2, None), a not in [b])


def order(a, b):
    return [a < b, a <= b, a > b, a >= b]


def between(a):
    return 0 <= a < 10


def arithmetic(a, b):
    return (a + b, a - b, a * b, -a, a**2, a | 1, a & 3, a ^ b, a << 2, a >> 1, ~a, a // 3, a % 3)


def divide(a, b):
    return a / b


def whole_numbers(items):
    n = len(items)
    k = 3
    total = 0
    for i in range(n):
        total += i * k - 1
    for i in range(2, n):
        total -= i
    return n, total, n * 2 - k, -n


def count(items):
    n = 0
    for x in items:
        if x is None:
            continue
        if x == "stop":
            break
        n += 1
    else:
        n += 100
    return n


def together(a, b):
    return [(i, x, y) for i, (x, y) in enumerate(zip(a, b))]


def nested(rows):
    return [x * 2 for row in rows for x in row if x if x != 3]


def sets_and_dicts(items):
    return (
        {x for x in items},
        {x: y for x, y in zip(items, items)},
        {"a": 1, "b": items},
        {1, 2},
        (*items, 0, *items),
        [*items],
    )


def quantified(items):
    return any([x > 2 for x in items]), all([x > 2 for x in items]), any(x is None for x in items)


def items_of(d):
    out = []
    for k, v in d.items():
        out.append((k, v))
    for v in d.values():
        out.append(v)
    return out


def looked_up(d, key):
    return d.get(key), d.get(key, 5)


def backwards(items):
    return [x for x in reversed(items)]


def index(items, i):
    return items[0], items[-1], items[i], items[1:], items[:i]


def set_index(items, i, value):
    items[i] = value
    items[0] = value
    items[1:2] = [value, value]
    return items


def choose(a, b):
    c = a if b else b
    d = a or b
    e = a and b
    return c, d, e, 1 if a else 2


def loop_while(n):
    steps = []
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps.append(n)
        if len(steps) > 200:
            break
    return steps


def call(f, *args, **kwargs):
    return f(*args, **kwargs)


def vector(*args, **kwargs):
    total = len(args)
    for a in args:
        total = total + a
    if kwargs:
        return total, args, kwargs
    return total


def keywords(f, x, more):
    return f(x, key=len), f(*[x], **more), f(*x), f(x, *x)


def make(x):
    p = Point(x)
    q = Point(x, y=2)
    p.next = q
    return p.moved(1).x, p.next.y, type(p) is Point, isinstance(q, Point), isinstance(x, (int, str))


def default(a, b=2, *, c=3):
    return (a, b, c)


def calls_default(a):
    return default(a), default(a, 5), default(a, c=7), default(b=1, a=a)


def unpack(pair):
    a, (b, c) = pair
    a, b = b, a
    return a, b, c


def raises(kind, text):
    if kind is None:
        raise ValueError
    raise kind(f"{text} and {len(text)}")


def raises_from(e):
    raise KeyError("k") from e


def caught(f):
    try:
        return f()
    except KeyError:
        return "key"
    except (ValueError, TypeError) as e:
        return str(e)


def cleans_up(f, log):
    try:
        value = f()
    finally:
        log.append("done")
    return value


def both(f, log):
    try:
        log.append(f())
    except ValueError as e:
        log.append(str(e))
        raise
    return log


def in_loop(fs):
    out = []
    for f in fs:
        try:
            out.append(f())
        except ZeroDivisionError:
            continue
        except KeyError:
            break
    return out


def early(items, wanted):
    for k, row in enumerate(items):
        for x in row:
            if x == wanted:
                return k, x
    return None


def unbound(flag):
    if flag:
        x = "set"
    return x


def deleted(x):
    y = x
    del y
    return y  # noqa: F821


def truth(x):
    if x:
        return "yes"
    return "no"


def length(x):
    return len(x)


def text(x):
    return f"a{x}b{x}"


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def identity_of(x):
    return id(x) == id(x)


def nothing(x):
    pass


def closing(op):
    def f(x):
        return op + x

    def g(*args, **kwargs):
        return op, args, kwargs

    return f, g


def add_to_item(d, key, n):
    d[key] += n
    return d


def as_numbers(x):
    return float(x), bool(x)


def emptied(x):
    x.clear()
    return x


def slices(x):
    y = x[1:]
    x[:1] = y[:2]
    return x, y, x[-2:], x[1:-1]


def same_items(a, b):
    return all(map(is_, a, b))


def called_with(f, x):
    return repr(f(x)), repr(f(x))


class Adder:
    """Called by a function of its class, or by one that was put there later."""

    def __init__(self, n):
        self.n = n

    def __repr__(self):
        return "Adder"

    def __call__(self, *args, **kwargs):
        if kwargs:
            return self.sum(*args, **kwargs)
        return self.sum(*args)

    def sum(self, *args, start=0):
        return sum(args, self.n + start)


class Callable:
    """Called by an object that is no function."""

    __call__ = Adder(3)

    def __repr__(self):
        return "Callable"
