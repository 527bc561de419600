"""What `emulsion models` tells.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import os
import struct
import unittest

from command import TINY, CliTest

CONVERT = ["models", "convert"]


class Inspect(CliTest):
    def test_a_model_is_told_with_its_parts(self):
        told = self.emulsion("models", "inspect", "tiny-sd21").stdout
        self.assertIn("Stable Diffusion 2, a folder", told)
        self.assertRegex(told, r"(?m)^unet .* float16$")
        told = json.loads(self.emulsion("models", "inspect", TINY, "--json").stdout)
        self.assertEqual(told["prediction"], "v_prediction")
        self.assertEqual(sorted(told["parts"]), ["text_encoder", "unet", "vae"])
        self.assertEqual(told["missing_parts"], [])

    def test_a_file_of_no_known_model_is_told_with_its_names(self):
        header = b'{"strange": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}'
        file = self.folder / "a.safetensors"
        file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
        told = self.emulsion("models", "inspect", file).stdout
        self.assertIn("unknown, a single file", told)
        self.assertIn("unknown tensors (1): strange", told)

    def test_what_is_no_model_is_refused_with_3(self):
        self.refused(3, "no such folder or file", "models", "inspect", "none")
        (self.folder / "a.ckpt").write_bytes(b"\x80\x02")
        self.refused(3, "a pickle file", "models", "inspect", self.folder / "a.ckpt")
        self.refused(2, "model", "models", "inspect")

    def test_pickle_files_are_refused_whatever_their_ending(self):
        for ending in ("ckpt", "pt", "pth", "bin", "pkl"):
            file = self.folder / f"a.{ending}"
            file.write_bytes(b"\x80\x02")
            line = self.refused_model("a pickle file", file)
            self.assertIn("give the model's .safetensors file", line)


class Convert(CliTest):
    def convert(self, *arguments):
        return self.emulsion(*CONVERT, *arguments)

    def tensors(self, file):
        """Name, dtype, shape and bytes of all tensors, and the metadata."""
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        found = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = (entry["dtype"], entry["shape"], data[begin:end])
        return found, metadata

    def test_a_folder_becomes_a_file_and_a_folder_again(self):
        told = self.convert("tiny-sd21", "tiny.safetensors")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertEqual(told.stdout, "tiny.safetensors\n")
        self.assertEqual(self.tensors(self.folder / "tiny.safetensors")[1]["format"], "pt")
        told = self.convert("tiny.safetensors", "back/")
        self.assertEqual(told.returncode, 0, told.stderr)
        for part in ("unet", "vae"):
            name = f"{part}/diffusion_pytorch_model.safetensors"
            ours, theirs = (self.tensors(at / name)[0] for at in (self.folder / "back", TINY))
            self.assertEqual(ours, theirs)
        self.assertEqual(
            sorted(path.name for path in self.folder.iterdir()),
            ["back", "tiny.emulsion.json", "tiny.safetensors", "tiny.tokenizer"],
        )

    def picture(self, graph, model):
        """Latent and pixels, as the files hold them."""
        values = [f"model={model}", "seed=3", "steps=2"]
        arguments = ["--dtype", "f32", "--quiet", "--out", "latent=l.safetensors"]
        for value in values:
            arguments += ["--set", value]
        done = self.emulsion("run", graph, *arguments, "--out", "image=i.png", env=self.bare)
        self.assertEqual(done.returncode, 0, done.stderr)
        latent = self.tensors(self.folder / "l.safetensors")[0]["latent"]
        return latent, (self.folder / "i.png").read_bytes()

    def test_a_file_and_its_folder_draw_the_same_picture(self):
        self.bare = {k: v for k, v in os.environ.items() if k != "EMULSION_TOKENIZER"}
        for model, graph in (("tiny-sd21", "sd21_txt2img"), ("tiny-sdxl", "sdxl_txt2img")):
            with self.subTest(model):
                for source, target in (
                    (model, f"{model}.safetensors"),
                    (f"{model}.safetensors", f"{model}-back"),
                    (f"{model}-back", f"{model}-again.safetensors"),
                    (f"{model}.safetensors", f"{model}-copy.safetensors"),
                ):
                    done = self.convert(source, target, "--quiet")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                own = self.picture(graph, model)
                for other in (".safetensors", "-back", "-again.safetensors", "-copy.safetensors"):
                    self.assertEqual(self.picture(graph, model + other), own, other)

    def test_dtypes_are_converted(self):
        self.convert("tiny-sd21", "tiny.safetensors", "--dtype", "bf16")
        tensors, _ = self.tensors(self.folder / "tiny.safetensors")
        self.assertEqual({dtype for dtype, _, _ in tensors.values()}, {"BF16"})
        self.refused(
            2,
            "expected auto, f32, f16 or bf16",
            *CONVERT,
            "tiny-sd21",
            "other.safetensors",
            "--dtype",
            "f8",
        )

    def test_what_cannot_be_written_is_refused(self):
        self.refused(3, "no such folder", *CONVERT, "none", "a.safetensors")
        (self.folder / "a.safetensors").write_text("mine")
        self.refused(1, "is there already", *CONVERT, "tiny-sd21", "a.safetensors")
        self.refused(1, "does not exist", *CONVERT, "tiny-sd21", "no/where.safetensors")
        self.refused(2, "ends with .safetensors", *CONVERT, "tiny-sd21", "b", "--layout", "single")
        self.refused(
            2, "expected auto, folder or single", *CONVERT, "tiny-sd21", "b", "--layout", "zip"
        )
        self.assertEqual([path.name for path in self.folder.iterdir()], ["a.safetensors"])


if __name__ == "__main__":
    unittest.main()
