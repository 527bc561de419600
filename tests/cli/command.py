"""What tests of the command line share."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["EMULSION_TEST_BUILD"])
EMULSION = BUILD / "bin" / "emulsion"
TINY = (BUILD / "share" / "emulsion" / "models" / "tiny-sd21").resolve()
QUICK = ["--set", "steps=2", "--quiet"]


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="emulsion_cli_"))
        self.addCleanup(shutil.rmtree, self.folder)

    def emulsion(self, *arguments, **options):
        command = [str(EMULSION), *[str(argument) for argument in arguments]]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=300, **options
        )

    def refused(self, status, text, *arguments, **options):
        """The command must end with the status and one line on stderr that holds the text."""
        done = self.emulsion(*arguments, **options)
        lines = done.stderr.splitlines()
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("emulsion: "), lines[0])
        self.assertIn(text, lines[0])
        self.assertEqual(done.stdout, "")
        return lines[0]

    def model(self):
        copy = self.folder / "model"
        shutil.copytree(TINY, copy)
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return copy

    def refused_model(self, text, model):
        return self.refused(3, text, "run", "sd21_txt2img", "--set", f"model={model}", *QUICK)
