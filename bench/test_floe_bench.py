"""Checks that the harness notices what would make its figures worthless."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from floe_bench import corpora, cutting, cutting_cli, edits, measure, parameter_sets, report, session, tracing, trees  # noqa: E402  (the path comes first)
from floe_bench.git_import import import_tree  # noqa: E402
from floe_bench.scenarios import requests  # noqa: E402
from floe_bench.text import TextMaker  # noqa: E402
from floe_bench.tools.floe import told  # noqa: E402


class InScratch(unittest.TestCase):
    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.root = Path(held.name)

    def tree(self, name: str) -> Path:
        tree = self.root / name
        (tree / "sub" / "deep").mkdir(parents=True)
        (tree / "sub" / "deep" / "file").write_bytes(b"content\n" * 20)
        (tree / "top").write_bytes(b"")
        (tree / "link").symlink_to("top")
        for path in [*tree.rglob("*")]:
            os.utime(path, ns=(7, 1_000_000_007), follow_symlinks=False)
        return tree


class Comparing(InScratch):
    def test_equal_trees_have_no_differences(self) -> None:
        self.assertEqual(trees.differences(self.tree("a"), self.tree("b"), trees.Keeps()), [])

    def test_each_kind_of_difference_is_found(self) -> None:
        def relink(tree: Path) -> None:
            (tree / "link").unlink()
            (tree / "link").symlink_to("sub")

        def rewrite(tree: Path) -> None:
            path = tree / "sub" / "deep" / "file"
            path.write_bytes(b"CONTENT\n" * 20)
            os.utime(path, ns=(7, 1_000_000_007))

        changes = {
            "content": rewrite,
            "mode": lambda tree: (tree / "top").chmod(0o600),
            "mtime": lambda tree: os.utime(tree / "top", ns=(7, 1_000_000_008)),
            "target": relink,
            "absent": lambda tree: (tree / "sub" / "deep" / "file").unlink(),
            "added": lambda tree: (tree / "sub" / "deep" / "more").touch(),
        }
        expected = self.tree("expected")
        for name, change in changes.items():
            with self.subTest(name):
                actual = self.tree(name)
                change(actual)
                self.assertNotEqual(trees.differences(expected, actual, trees.Keeps()), [])

    def test_only_what_a_tool_keeps_is_compared(self) -> None:
        expected, actual = self.tree("a"), self.tree("b")
        os.utime(actual / "top", ns=(7, 1_000_000_900))
        self.assertEqual(trees.differences(expected, actual, trees.Keeps(mtime_unit_ns=1_000_000_000)), [])


class Requests(unittest.TestCase):
    def test_what_the_tests_say_is_read(self) -> None:
        said = "requests of a push of one changed file, caches warm: 9, 7 in series"
        printed = f"running 1 test\ntest x ... {said}\nrequests of another: 14, 9 in series\nok\n"
        expected = [("a push of one changed file, caches warm", 9, 7), ("another", 14, 9)]
        self.assertEqual(requests.read(printed), expected)

    def test_tests_that_say_nothing_are_no_result(self) -> None:
        with self.assertRaisesRegex(measure.BenchError, "caches warm"):
            requests.read("requests of another: 14, 9 in series\n")


class Measuring(InScratch):
    def test_a_failing_command_raises(self) -> None:
        for command in (measure.Command(["false"]), measure.Command(["no-such-program"]), measure.Command.shell("false | cat")):
            with self.assertRaises(measure.BenchError):
                measure.run(command, self.root, 10)

    def test_a_command_over_its_time_is_ended(self) -> None:
        with self.assertRaisesRegex(measure.BenchError, "took over"):
            measure.run(measure.Command(["sleep", "60"]), self.root, 0.2)

    def test_peak_memory_is_the_commands_and_not_the_harness(self) -> None:
        measure.touch_memory()
        small = measure.run(measure.Command(["true"]), self.root, 10)
        script = "b = bytearray(b'x') * (200 << 20)"
        large = measure.run(measure.Command([sys.executable, "-c", script]), self.root, 10)
        self.assertLess(small.peak_bytes, 32 << 20)
        self.assertGreater(large.peak_bytes, 200 << 20)

    def test_spread_of_few_and_many(self) -> None:
        self.assertEqual(measure.Spread.of([3.0]), measure.Spread(3.0, 3.0, 3.0, 3.0))
        self.assertEqual(measure.Spread.of([float(n) for n in range(1, 21)]), measure.Spread(1.0, 10.5, 20.0, 19.0))

    def test_bytes_put_counts_new_and_rewritten_files(self) -> None:
        tree = self.tree("store")
        before = trees.listing(tree)
        (tree / "new").write_bytes(b"12345")
        (tree / "top").write_bytes(b"123")
        self.assertEqual(trees.bytes_put(before, trees.listing(tree)), 8)


class Tracing(InScratch):
    def test_what_several_threads_open_and_read_is_counted(self) -> None:
        for number in range(400):
            (self.root / f"{number}").write_bytes(b"x" * 10)
        program = (
            "import os, sys, threading\n"
            "def work(first):\n"
            "    for number in range(first, 400, 4):\n"
            "        file = os.open(f'{sys.argv[1]}/{number}', os.O_RDONLY)\n"
            "        os.read(file, 100)\n"
            "        os.close(file)\n"
            "threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]\n"
            "[thread.start() for thread in threads]\n"
            "[thread.join() for thread in threads]\n"
        )
        work = self.root / "work"
        with session.Session([], [], {}, work, None, rounds=1, timeout=60, scale=1) as running:
            seen = tracing.touched(running, measure.Command([sys.executable, "-c", program, str(self.root)]), self.root)
        if seen is None:
            self.skipTest("no strace here")
        self.assertEqual((len(seen.opened), len(set(seen.opened)), seen.read_bytes), (400, 400, 4000))


class Making(InScratch):
    def test_equal_seeds_make_equal_text(self) -> None:
        one, two = TextMaker(5), TextMaker(5)
        self.assertEqual(one.text("a", 9000), two.text("a", 9000))
        self.assertNotEqual(one.text("a", 9000), one.text("b", 9000))
        self.assertEqual(len(one.text("c", 12345)), 12345)

    def test_a_made_tree_is_kept_and_a_half_made_one_is_not(self) -> None:
        left = self.root / "corpora" / ".text-0.004.making"
        left.mkdir(parents=True)
        (left / "rubbish").touch()
        tree = corpora.text_tree(self.root, 0.004)
        self.assertFalse((tree / "rubbish").exists())
        self.assertEqual(trees.weigh(tree).files, 200)
        inode = tree.stat().st_ino
        self.assertEqual(corpora.text_tree(self.root, 0.004).stat().st_ino, inode)

    def test_an_edit_changes_one_file_in_either_way(self) -> None:
        tree = self.tree("edited")
        editor = edits.Editor(tree, 1)
        for by_rename in (False, True):
            before = trees.listing(tree)
            path = editor.edit(by_rename=by_rename)
            after = trees.listing(tree)
            changed = [name for name in after if before.get(name) != after[name]]
            self.assertEqual(changed, [str(path)])
            self.assertEqual(before[str(path)][2] != after[str(path)][2], by_rename)


class Importing(InScratch):
    def test_git_finds_nothing_changed_in_an_imported_tree(self) -> None:
        tree = self.root / "tree"
        (tree / "a b").mkdir(parents=True)
        (tree / "a b" / 'quo"ted\n').write_bytes(b"x" * 5000)
        (tree / "run").write_text("#!/bin/sh\n")
        (tree / "run").chmod(0o755)
        (tree / "empty").touch()
        (tree / "link").symlink_to("a b")
        git = ["git", f"--git-dir={self.root / 'git'}", f"--work-tree={tree}"]
        subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
        import_tree(git, tree)
        subprocess.run([*git, "read-tree", "HEAD"], check=True)
        status = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True)
        self.assertEqual(status.stdout, "")
        (tree / "empty").write_text("no more")
        status = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True)
        self.assertEqual(status.stdout, " M empty\n")


class Cutting(InScratch):
    FLOE = """#!/bin/sh
test "$1" = push && test -n "$2" || exit 1
while [ "$1" != --store ]; do shift; done
packs="${2#file://}/default/packs"
mkdir -p "$packs"
head -c 1000 /dev/zero >"$packs/$(ls "$packs" | wc -l)"
"""

    def stores(self) -> cutting.Stores:
        program = self.root / "floe"
        program.write_text(self.FLOE)
        program.chmod(0o755)
        sets = {"a": parameter_sets.Parameters(), "b": parameter_sets.Parameters(group_min=16)}
        return cutting.Stores(str(program), self.root, sets, 10)

    def setUp(self) -> None:
        super().setUp()
        try:
            import blake3  # noqa: F401  (the namespaces need it)
        except ImportError:
            if os.environ.get("CI"):
                raise
            self.skipTest("the Python package blake3 is missing")

    def test_a_record_is_sealed_as_the_format_says(self) -> None:
        """The example of `docs/format.md`, whose writer also ends the first line with a line feed."""
        page = Path(__file__).resolve().parent.parent.joinpath("docs", "format.md").read_text(encoding="utf-8")
        example = page.split("```json format.json\n")[1].split("```")[0]
        record = json.loads(example)
        record.pop("sum")
        self.assertEqual(parameter_sets.sealed(record).decode(), example)

    def test_only_what_a_push_added_is_counted(self) -> None:
        stores = self.stores()
        tree = self.tree("pushed")
        self.assertEqual(stores.push(tree, "x"), {"a": 1000, "b": 1000})
        self.assertEqual(stores.push(tree, "x", only={"b"}), {"b": 1000})

    def test_versions_edits_and_moves_are_told_apart(self) -> None:
        tree = self.tree("tree")
        (tree / "many").mkdir()
        for number in range(25):
            (tree / "many" / str(number)).write_text("a line that is long enough to be edited\n" * 9)
        measured = cutting.measure("tree", iter([tree, tree, tree]), self.stores(), 3, {"a"})
        self.assertEqual(measured.versions, 3)
        self.assertEqual(measured.sets["a"], cutting.Series(1000, 3000, [1000] * 3, 1000))
        self.assertEqual(measured.sets["b"], cutting.Series(1000, 3000, [], 0))
        self.assertEqual(measured.moved, "many, 25 files")
        self.assertFalse((tree / "many").exists())
        cutting.save(measured, self.root / "results")
        self.assertEqual(cutting.load(self.root / "results"), [measured])
        measured.sets = {"present": measured.sets["a"]}
        page = "\n".join(line for table in cutting_cli.tables([measured]) for line in table.markdown())
        self.assertIn("| tree | 3 | 3.000 |", page)
        self.assertIn("| tree | 1 / 1 |", page)

    @unittest.skipUnless(shutil.which("rsync"), "rsync is missing")
    def test_versions_touch_only_what_differs(self) -> None:
        one, two = self.tree("one"), self.tree("two")
        (two / "top").write_bytes(b"another")
        seen = cutting.successive([one, two], self.root)
        kept = trees.listing(next(seen))
        changed = {path for path, status in trees.listing(next(seen)).items() if kept[path] != status}
        self.assertEqual(changed, {str(self.root / "tree" / "top")})


class Reporting(InScratch):
    def test_sections_survive_a_save(self) -> None:
        table = report.Table(["", "a | b"])
        table.add("row", None)
        section = report.Section("pull", "Pull", tables=[table], figures=[["f", "≤ 1", "2"]], tools={"x": "1"})
        report.save({"pull": section}, self.root / "kept.json")
        page = report.markdown(report.load(self.root / "kept.json"), ["first-push", "pull"], report.Table(["tool"]))
        self.assertIn("| row | – |", page)
        self.assertIn("a \\| b", page)
        self.assertIn("| f | ≤ 1 | 2 |", page)

    def test_numbers_are_found_in_a_reports_depth(self) -> None:
        self.assertEqual(told('{"snapshot": "x", "store": {"request_count": {"get": 3, "put": 4}}}', "request_count"), 7)
        self.assertEqual(told('{"request_count": 2}', "request_count"), 2)
        self.assertIsNone(told("no object", "request_count"))


if __name__ == "__main__":
    ran = unittest.main(exit=False).result
    # Where everything is to be there, what is skipped has failed.
    sys.exit(not ran.wasSuccessful() or bool(os.environ.get("CI") and ran.skipped))
