"""What `emulsion models` tells.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import struct
import unittest

from command import TINY, CliTest


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


if __name__ == "__main__":
    unittest.main()
