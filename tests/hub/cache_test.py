"""One cache for all of the hub's tools: what huggingface_hub downloaded is run, and it finds what
was pulled.  Where it is not there (venv-hub in the build tree), a cache in the layout of its
version 2.4 stands for it.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import os
import subprocess
import unittest
from pathlib import Path

from hub_case import NEEDED, QUICK, HubTest
from hub_server import COMMIT, etag_of

PYTHON = Path(os.environ["EMULSION_TEST_BUILD"], "venv-hub", "bin", "python")
DOWNLOAD = "from huggingface_hub import snapshot_download as get; print(get('maker/tiny'{}))"
FIND = DOWNLOAD.format(", local_files_only=True")
READ = "from huggingface_hub import hf_hub_download as get; print(get('maker/tiny', '{}'))"


class Cache(HubTest):
    def setUp(self):
        super().setUp()
        self.env["HF_HUB_DISABLE_TELEMETRY"] = self.env["HF_HUB_DISABLE_XET"] = "1"

    def python(self, program):
        done = subprocess.run(
            [str(PYTHON), "-c", program], capture_output=True, text=True, env=self.env, timeout=60
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()[-1]

    def lay_out(self):
        """As huggingface_hub does."""
        for path, data in NEEDED.items():
            blob, link = self.blob(path), self.snapshot / path
            link.parent.mkdir(parents=True, exist_ok=True)
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(data)
            link.symlink_to(os.path.relpath(blob, link.parent))
        refs = self.store / "refs"
        refs.mkdir()
        (refs / "main").write_text(COMMIT)

    def assert_used_offline(self):
        self.hub.requests.clear()
        done = self.emulsion("run", "sd21_txt2img", "--set", "model=maker/tiny", *QUICK)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(self.emulsion("models", "list").stdout, "(?m)^maker/tiny .*hub's cache")
        self.assertEqual(self.hub.requests, [])

    def test_a_cache_in_the_known_layout_is_used(self):
        self.lay_out()
        self.assert_used_offline()

    @unittest.skipUnless(PYTHON.exists(), "huggingface_hub is not there")
    def test_what_huggingface_hub_downloaded_is_used(self):
        self.assertEqual(self.python(DOWNLOAD.format("")), str(self.snapshot))
        self.assert_used_offline()

    @unittest.skipUnless(PYTHON.exists(), "huggingface_hub is not there")
    def test_huggingface_hub_finds_what_was_pulled(self):
        done = self.emulsion("models", "pull", "maker/tiny", "--quiet")
        if "cannot download" in done.stderr:
            self.skipTest("this build has no downloads")
        self.hub.requests.clear()
        self.assertEqual(self.python(FIND), str(self.snapshot))
        self.assertEqual(self.hub.requests, [])
        for path, data in NEEDED.items():
            self.assertEqual((self.snapshot / path).read_bytes(), data)
        # What is there is not brought again; what is not there is added.
        self.python(READ.format("vae/config.json"))
        self.assertEqual(self.python(READ.format("README.md")), str(self.snapshot / "README.md"))
        blobs = {path.name for path in (self.store / "blobs").iterdir()}
        readme = etag_of("README.md", self.repository.files["README.md"])
        self.assertEqual(blobs - {etag_of(path, data) for path, data in NEEDED.items()}, {readme})


if __name__ == "__main__":
    unittest.main()
