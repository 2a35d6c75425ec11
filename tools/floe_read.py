#!/usr/bin/env python3
"""Extracts a tree from a Floe store in a local directory: floe_read.py STORE_DIR NAMESPACE REF DEST

Written from docs/format.md alone (§ are its sections), to show that it suffices. It needs the standard library and
`zstandard`, so it checks no BLAKE3 sums; it does check that the tar in the frames is the one that the entries make.
Modes and, where they are kept, times are restored; owners, xattrs, setuid bits and devices are not.
"""
import json, os, re, sys
from collections import namedtuple
from functools import lru_cache
import zstandard

Entry = namedtuple("Entry", "kind path mode time size target device")
DIRECTORY, FILE, SYMLINK, HARD_LINK, FIFO = 1, 2, 3, 4, 5

def check(is_sound, what):
    if not is_sound:
        sys.exit(f"corrupt: {what}")

class Wire:  # Fields of §1, of bytes that begin with a magic
    def __init__(self, data, magic=b""):
        self.data, self.at = data, 0
        check(self.take(len(magic)) == magic, f"no {magic}")
    def take(self, n):
        check(n <= len(self.data) - self.at, "it ends early")
        self.at += n
        return self.data[self.at - n : self.at]
    def u(self, n):
        return int.from_bytes(self.take(n), "little")
    def uv(self):
        byte = self.u(1)
        return byte if byte < 128 else byte - 128 + (self.uv() << 7)
    def bytes(self):
        return self.take(self.uv())
    def time(self, kept):  # What is kept of time and owner (passed over): the time in nanoseconds
        zigzag, nanoseconds = (self.uv(), self.uv()) if kept & 1 else (None, 0)
        [self.uv() for _ in range(kept & 2)]
        return None if zigzag is None else (zigzag >> 1 ^ -(zigzag & 1)) * 10**9 + nanoseconds
    def xattrs(self):
        [self.bytes() for _ in range(2 * self.uv())]
    def items(self):  # §7: the ids listed; lengths, numbers of entries and paths are not needed here
        return [(self.take(32), self.uv(), self.uv(), self.uv(), self.bytes())[0] for _ in range(self.uv())]

class Store:  # §2, §4: objects, and the frames found in the packs of a layout
    def __init__(self, directory):
        self.directory, self.data, self.metadata = directory, {}, {}
        self.zstd = zstandard.ZstdDecompressor(max_window_size=1 << 20)
    @lru_cache(maxsize=2)
    def read(self, key):
        with open(os.path.join(self.directory, re.sub("[^/]{240}(?=[^/])", r"\g<0>+/", key)), "rb") as file:
            return file.read()
    def add_pack(self, layout):  # §9: the next pack of the layout
        pack_id, has_metadata, length = layout.take(16).hex(), layout.u(1), layout.uv()
        [layout.uv() for _ in range(2)], [layout.uv() for _ in range(2 * layout.uv())]
        pack = self.read(f"packs/{pack_id}")
        footer = Wire(pack[-128:])
        sizes = [footer.u(8) for _ in range(6)]
        check(sizes[0] == len(pack) == length == 40 + sum(sizes[1:]), f"the lengths of pack {pack_id}")
        check(pack[8:18] == b"FLOEPACK\1\0" and pack[-8:] == b"FLOEPEND", f"the ends of pack {pack_id}")
        segments_at = 40 + sizes[1] + sizes[2]
        self.add_index(pack_id, pack[40 + sizes[1] : segments_at], 40, self.data)
        if has_metadata:
            self.add_index(pack_id, pack[length - sizes[5] : -128], segments_at, self.metadata)
    def add_index(self, pack_id, index, offset, frames):
        records = Wire(index[8:])
        while records.at < len(records.data):
            frame, _, stored, plain, codec = (records.take(32), *(records.u(n) for n in (16, 4, 3, 1)))
            check(codec == 1, "a codec that no tree has")
            frames.setdefault(frame, (pack_id, offset, stored, plain))
            offset += stored
    def plain(self, frames, frame):
        check(frame in frames, f"no frame {frame.hex()}")
        pack_id, offset, stored, length = frames[frame]
        stored = self.read(f"packs/{pack_id}")[offset : offset + stored]
        plain = self.zstd.decompress(stored, max_output_size=1 << 20)
        check(len(plain) == length, f"the length of frame {frame.hex()}")
        return plain
    def segments(self, level, ids):
        for plain in (self.plain(self.metadata, frame) for frame in ids):
            below = b"FIDX\1\1" + bytes([level, 0])
            yield from self.segments(level - 1, Wire(plain, below).items()) if level else [plain]

def read_segment(plain):  # §6: the entries, and the ids of the data frames with repetitions
    wire = Wire(plain, b"FSEG\1\1")
    kept, _, _, entry_count, run_count = wire.u(1), wire.u(1), wire.uv(), wire.uv(), wire.uv()
    entries, path = [], b""
    for _ in range(entry_count):
        kind = wire.u(1)
        kind, has_xattrs, path = kind & 127, kind & 128, path[: wire.uv()] + wire.bytes()
        mode = 0o777 if kind == SYMLINK else wire.uv()
        time = wire.time(0 if kind == HARD_LINK else kept)
        size = wire.uv() if kind == FILE else 0
        wire.take(32 if size else 0)
        target = wire.bytes() if kind in (SYMLINK, HARD_LINK) else b""
        device = (wire.uv(), wire.uv()) if kind > FIFO else (0, 0)
        wire.xattrs() if has_xattrs else None
        entries.append(Entry(kind, path, mode, time, size, target, device))
    runs = [(wire.uv(), wire.uv(), wire.take(32)) for _ in range(run_count)]
    check(wire.at == len(plain), "bytes after a segment")
    return entries, [frame for count, _, frame in runs for _ in range(count)]

def ustar(name, mode, size, kind, link, device=(0, 0)):
    head = name[:100].ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + b"%011o\0" % size
    head += b"02263523000\0" + b" " * 8 + kind + link[:100].ljust(100, b"\0") + b"ustar\x0000"
    head = (head.ljust(329, b"\0") + b"%07o\0%07o\0" % device).ljust(512, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]

def tar_headers(e):  # §5.2
    name = e.path + b"/" * (e.kind == DIRECTORY)
    is_huge, pax = e.size > 8589934591, b""
    for key, value in ((b"path", name), (b"linkpath", e.target), (b"size", b"%d" % e.size)):
        if is_huge if key == b"size" else len(value) > 100:
            rest = b" %s=%s\n" % (key, value)
            lengths = range(len(rest), len(rest) + 9)
            pax += next(b"%d%s" % (n, rest) for n in lengths if n == len(str(n)) + len(rest))
    if pax:
        pax = ustar(b"././@PaxHeader", 0o644, len(pax), b"x", b"") + pax + bytes(-len(pax) % 512)
    kind = b"?5021634"[e.kind : e.kind + 1]
    return pax + ustar(name, e.mode, 0 if is_huge else e.size, kind, e.target, e.device)

class Tar:  # The canonical tar, read on frame by frame
    def __init__(self, plains):
        self.plains, self.plain = plains, b""
    def pieces(self, n):
        while n:
            self.plain = self.plain or next(self.plains, b"")
            check(self.plain, "the tar ends early")
            piece, self.plain = self.plain[:n], self.plain[n:]
            n -= len(piece)
            yield piece
    def expect(self, what):
        check(b"".join(self.pieces(len(what))) == what, "the tar is not that of the entries")

def enter(root, path):  # Goes to the directory that a path is in, without following symlinks, and says its name there
    *parents, name = path.split(b"/")
    check(not {b"", b".", b".."} & {*parents, name}, f"path {path}")
    os.fchdir(root)
    for parent in parents:
        inner = os.open(parent, os.O_DIRECTORY | os.O_NOFOLLOW)
        os.fchdir(inner), os.close(inner)
    return name

def extract(root, e, tar):
    tar.expect(tar_headers(e))
    name = enter(root, e.path)
    if e.kind == DIRECTORY:
        os.mkdir(name, 0o700)
    elif e.kind == FILE:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.writelines(tar.pieces(e.size))
        tar.expect(bytes(-e.size % 512))
    elif e.kind == SYMLINK:
        os.symlink(e.target, name)
    elif e.kind == HARD_LINK:
        here, target = os.open(".", os.O_DIRECTORY), enter(root, e.target)
        os.link(target, name, dst_dir_fd=here, follow_symlinks=False), os.close(here)
    elif e.kind == FIFO:
        os.mkfifo(name, 0o600)
    else:
        print(f"left out, as it is a device: {os.fsdecode(e.path)}", file=sys.stderr)

def finish(root, e):
    name = enter(root, e.path)
    if e.kind in (DIRECTORY, FILE, FIFO):
        os.chmod(name, e.mode & 0o777)
    if e.time is not None and e.kind <= FIFO:
        os.utime(name, ns=(e.time, e.time), follow_symlinks=False)

def main(store_dir, namespace, ref, dest):
    store = Store(os.path.abspath(os.path.join(store_dir, namespace)))
    check(not json.loads(store.read("format.json"))["features"], "features that this reader does not know")
    record = json.loads(store.read("refs/" + ref.replace("/", "%2F")))
    check(not record.get("removed"), f"no ref {ref}: it was removed")
    snapshot = Wire(store.read(f"snapshots/{record['snapshot']}/{record['layout']}"), b"FLOESNAP\1\0\0\0")
    root_length, layout_length, _ = snapshot.u(4), snapshot.u(4), snapshot.take(36)
    root, layout = Wire(snapshot.take(root_length), b"FLRT\1\1"), Wire(snapshot.take(layout_length))
    for _ in range(layout.uv()):
        store.add_pack(layout)
    kept, _ = root.u(1), root.take(25)  # §8
    _, entry_count, _, _, mode = (root.uv() for _ in range(5))
    time = root.time(kept)
    root.xattrs() if kept & 4 else None
    segments = [read_segment(plain) for plain in store.segments(root.u(1), root.items())]
    entries = [e for segment in segments for e in segment[0]]
    check(len(entries) == entry_count, "the root has another number of entries")
    os.mkdir(dest, 0o700)
    dest_fd = os.open(dest, os.O_DIRECTORY)
    tar = Tar(store.plain(store.data, frame) for segment in segments for frame in segment[1])
    for e in entries:
        extract(dest_fd, e, tar)
    tar.expect(bytes(1024))
    check(not tar.plain and not next(tar.plains, b""), "bytes after the end of the tar")
    for e in reversed(entries):
        finish(dest_fd, e)
    os.chmod(dest_fd, mode & 0o777)
    if time is not None:
        os.utime(dest_fd, ns=(time, time))

main(*sys.argv[1:]) if len(sys.argv) == 5 else sys.exit(__doc__)
