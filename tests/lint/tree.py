"""What the lints share: the tracked files of a tree, sentences with a place, and the self-test."""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked(root, *suffixes):
    """Paths from the root, sorted: what git tracks, or every file where there is no repository."""
    if os.path.exists(os.path.join(root, ".git")):
        listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True, text=True)
        paths = [path for path in listed.stdout.split("\0") if path and os.path.isfile(os.path.join(root, path))]
    else:
        paths = [os.path.relpath(os.path.join(folder, name), root)
                 for folder, _, names in os.walk(root) for name in names]
    return sorted(path for path in paths if not suffixes or path.endswith(suffixes))


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as source:
        return source.read().splitlines()


def report(mistakes, checked):
    """Prints `file:line: sentence` for each mistake; returns the exit code."""
    for path, line, sentence in mistakes:
        print(f"{path}:{line}: {sentence}")
    name = os.path.basename(sys.argv[0])
    print(f"{name}: {checked}, {len(mistakes)} mistakes")
    return 1 if mistakes else 0


def expect(check, cases):
    """The self-test: each case is (files of a tree, place and words that the check must report, or None for a clean
    tree). Returns the exit code."""
    failed = 0
    for files, wanted in cases:
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as target:
                    target.write(text)
            found = [f"{path}:{line}: {sentence}" for path, line, sentence in check(root)]
        good = not found if wanted is None else any(wanted in sentence for sentence in found)
        if not good:
            failed += 1
            print(f"self-test: wanted {wanted!r}, found {found}")
    print(f"{os.path.basename(sys.argv[0])}: self-test of {len(cases)} cases, {failed} failed")
    return 1 if failed else 0
