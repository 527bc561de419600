"""What tests of the hub share: a hub of one's own, and a home of one's own."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))

import command
import hub_server
from hub_server import COMMIT, Hub, Repository, etag_of

EMULSION, QUICK = command.EMULSION, command.QUICK
UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TOKEN = "hf_ASecretThatNobodyMaySee"
NEEDED = {
    path: data for path, data in hub_server.model_files(command.TINY).items() if path != "README.md"
}
NOT_PASSED_ON = ("HF_", "HUGGING", "TRANSFORMERS_", "XDG_", "EMULSION_TOKENIZER")


def published() -> dict[str, bytes]:
    """The tiny model as repositories have it: with much that nobody needs."""
    return NEEDED | {
        "README.md": b"# A model",
        ".gitattributes": b"",
        "unet/diffusion_pytorch_model.bin": b"a pickle",
        "safety_checker/config.json": b"{}",
        "safety_checker/model.safetensors": b"not needed",
        "samples/a.png": b"png",
    }


class HubTest(command.CliTest):
    def setUp(self):
        super().setUp()
        self.repository = Repository(published())
        self.hub = Hub({"maker/tiny": self.repository})
        self.hub.__enter__()
        self.addCleanup(self.hub.__exit__)
        self.cache = self.folder / "home" / ".cache" / "huggingface" / "hub"
        self.store = self.cache / "models--maker--tiny"
        self.snapshot = self.store / "snapshots" / COMMIT
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(NOT_PASSED_ON) and not name.lower().endswith("_proxy")
        }
        self.env |= {"HOME": str(self.folder / "home"), "HF_ENDPOINT": self.hub.endpoint}

    def emulsion(self, *arguments, **options):
        done = super().emulsion(*arguments, **{"env": self.env} | options)
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        return done

    def pull(self, *arguments, model="maker/tiny"):
        done = self.emulsion("models", "pull", model, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused_pull(self, text, model="maker/tiny"):
        return self.refused(3, text, "models", "pull", model, "--quiet")

    def blob(self, path, ending=""):
        return self.store / "blobs" / (etag_of(path, self.repository.files[path]) + ending)

    def assert_pulled(self):
        for path, data in NEEDED.items():
            self.assertEqual((self.snapshot / path).read_bytes(), data, path)
        self.assertEqual(list(self.store.rglob("*.incomplete")), [])
