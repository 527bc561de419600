"""Models from the hub as a user meets them, against a hub on 127.0.0.1.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import os
import pty
import socket
import subprocess
import time
import unittest
from pathlib import Path

from hub_case import EMULSION, NEEDED, QUICK, TOKEN, UNET, VAE, HubTest
from hub_server import COMMIT, etag_of, late


class Pull(HubTest):
    def test_only_what_is_needed_comes_in_the_layout_that_all_tools_share(self):
        done = self.pull("--quiet")
        self.assertEqual(done.stdout, f"{self.snapshot}\n")
        self.assertEqual(done.stderr, "")
        found = {
            path.relative_to(self.snapshot).as_posix(): os.readlink(path)
            for path in self.snapshot.rglob("*")
            if path.is_symlink()
        }
        expected = {
            path: "../" * (path.count("/") + 2) + f"blobs/{etag_of(path, data)}"
            for path, data in NEEDED.items()
        }
        self.assertEqual(found, expected)
        self.assertEqual((self.store / "refs" / "main").read_text(), COMMIT)
        self.assertTrue((self.cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f5"))
        locks = {path.name for path in (self.cache / ".locks" / "models--maker--tiny").iterdir()}
        self.assertIn(self.blob(UNET).name + ".lock", locks)
        self.assert_pulled()

    def test_what_is_there_is_not_brought_again(self):
        self.pull("--quiet")
        self.hub.requests.clear()
        done = self.pull()
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.hub.asked("", "store"), [])
        self.assertEqual(len(self.hub.requests), 1)  # whether there is a newer one

    def test_progress_is_told_in_lines_where_there_is_no_terminal(self):
        lines = self.pull().stderr.splitlines()
        self.assertRegex(lines[-1], r"^downloading maker/tiny: (.+) of \1$")

    def test_a_terminal_shows_a_bar(self):
        terminal, end = pty.openpty()
        command = [str(EMULSION), "models", "pull", "maker/tiny"]
        done = subprocess.run(command, env=self.env, stderr=end, stdout=subprocess.PIPE, timeout=60)
        os.close(end)
        shown = os.read(terminal, 1 << 20)
        os.close(terminal)
        self.assertEqual(done.returncode, 0, shown)
        self.assertIn(b"[" + b"#" * 30 + b"] maker/tiny: ", shown)

    def test_several_files_come_at_once(self):
        self.hub.fail("", late(0.2))
        self.pull("--quiet")
        self.assertGreater(self.hub.most_active, 1)

    def test_a_run_downloads_what_a_plan_says_is_missing(self):
        model = ["sd21_txt2img", "--set", "model=maker/tiny"]
        line = self.refused(3, "get it with: emulsion models pull maker/tiny", "plan", *model)
        self.assertIn("has nothing of it", line)
        self.assertEqual(self.hub.requests, [])
        done = self.emulsion("run", *model, *QUICK, "--out", "image=hub.png")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.hub.requests.clear()
        self.assertEqual(self.emulsion("plan", *model).returncode, 0)
        self.assertEqual(self.emulsion("models", "inspect", "maker/tiny").returncode, 0)
        self.assertEqual(self.emulsion("run", *model, *QUICK).returncode, 0)
        self.assertEqual(self.hub.requests, [])
        self.emulsion("run", "sd21_txt2img", *QUICK, "--out", "image=local.png")
        pictures = [(self.folder / name).read_bytes() for name in ("hub.png", "local.png")]
        self.assertEqual(pictures[0], pictures[1])

    def test_half_precision_is_taken_where_there_is_a_choice_and_full_where_it_is_asked_for(self):
        half = UNET.replace(".safetensors", ".fp16.safetensors")
        self.repository.files |= {half: b"half", UNET: b"full", VAE: b"only"}
        weights = self.snapshot / "unet"
        self.pull("--quiet")
        names = [path.name for path in weights.glob("*.safetensors")]
        self.assertEqual(names, [Path(half).name])
        self.assertTrue((self.snapshot / VAE).exists())
        self.pull("--quiet", "--dtype", "f32")
        self.assertTrue((self.snapshot / UNET).exists())

    def test_a_single_file_comes_with_the_configs_beside_it(self):
        self.repository.files["tiny.safetensors"] = b"a checkpoint"
        done = self.pull("--quiet", model="maker/tiny/tiny.safetensors")
        self.assertEqual(done.stdout, f"{self.snapshot / 'tiny.safetensors'}\n")
        self.assertTrue((self.snapshot / "tokenizer" / "vocab.json").exists())
        self.assertFalse((self.snapshot / UNET).exists())
        line = self.refused_pull("has no file 'big.safetensors'", "maker/tiny/big.safetensors")
        self.assertIn("it has", line)

    def test_a_repository_without_an_index_is_told_with_a_file_to_name(self):
        self.repository.files = {"lone.safetensors": b"x"}
        self.refused_pull("name one of its files: maker/tiny/lone.safetensors")
        self.assertTrue((self.store / ".no_exist" / COMMIT / "model_index.json").exists())

    def test_pickles_are_not_taken(self):
        del self.repository.files[UNET]
        self.refused_pull("which can run any program when it is read")

    def test_without_links_files_lie_in_the_snapshot(self):
        self.env["HF_HUB_DISABLE_SYMLINKS"] = "1"
        self.repository.files["tokenizer/copy.json"] = NEEDED["tokenizer/vocab.json"]
        self.pull("--quiet")
        self.assert_pulled()
        self.assertEqual([path for path in self.snapshot.rglob("*") if path.is_symlink()], [])
        self.assertEqual(list((self.store / "blobs").iterdir()), [])

    def test_the_list_has_shipped_and_pulled_models(self):
        self.pull("--quiet")
        (self.snapshot / VAE).unlink()
        told = self.emulsion("models", "list").stdout
        self.assertRegex(told, r"(?m)^tiny-sd21 .*MiB  shipped$")
        self.assertRegex(
            told, r"(?m)^maker/tiny .*MiB  hub's cache, commit 01234567, without weights of 'vae'$"
        )
        told = json.loads(self.emulsion("models", "list", "--json").stdout)
        self.assertEqual(told[-1]["model"], "maker/tiny")
        self.assertEqual(told[-1]["path"], str(self.snapshot))
        there = sum(len(data) for path, data in NEEDED.items() if path != VAE)
        self.assertEqual(told[-1]["bytes"], there)

    def test_damage_of_the_same_length_is_mended_when_it_is_asked_for(self):
        self.pull("--quiet")
        data = NEEDED[VAE]
        self.blob(VAE).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        self.pull("--quiet", "--verify")
        self.assert_pulled()

    def test_a_file_that_was_cut_is_brought_again(self):
        self.pull("--quiet")
        self.blob(VAE).write_bytes(b"short")
        self.pull("--quiet")
        self.assert_pulled()


class Secrets(HubTest):
    def test_a_token_goes_to_the_hub_and_not_to_where_it_redirects(self):
        self.env["HF_TOKEN"] = TOKEN
        self.pull()
        self.assertTrue(self.hub.asked("", "store"))
        for name, path, headers in self.hub.requests:
            expected = f"Bearer {TOKEN}" if name == "hub" else None
            self.assertEqual(headers.get("Authorization"), expected, path)

    def test_a_token_is_read_from_its_file_unless_that_is_forbidden(self):
        file = self.folder / "home" / ".cache" / "huggingface" / "token"
        file.parent.mkdir(parents=True)
        file.write_text(TOKEN + "\n")
        self.pull("--quiet")
        self.assertEqual(self.hub.asked("/main")[0]["Authorization"], f"Bearer {TOKEN}")
        self.env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "yes"
        self.pull("--quiet")
        self.assertNotIn("Authorization", self.hub.asked("/main")[1])

    def test_a_token_with_a_line_break_is_no_token(self):
        self.env["HF_TOKEN"] = f"{TOKEN}\nX-Other: 1"
        self.refused(2, "HF_TOKEN: expected a token", "models", "pull", "maker/tiny")
        self.assertEqual(self.hub.requests, [])


class WithoutNetwork(HubTest):
    def test_offline_what_is_cached_is_used_and_the_rest_refused(self):
        self.env["HF_HUB_OFFLINE"] = "1"
        self.refused_pull("HF_HUB_OFFLINE forbids")
        run = ["run", "sd21_txt2img", "--set", "model=maker/tiny", *QUICK]
        self.refused(3, "HF_HUB_OFFLINE forbids", *run)
        del self.env["HF_HUB_OFFLINE"]
        self.pull("--quiet")
        self.hub.requests.clear()
        self.env["TRANSFORMERS_OFFLINE"] = "1"
        self.assertEqual(self.pull().stdout, f"{self.snapshot}\n")
        self.assertEqual(self.emulsion(*run).returncode, 0)
        self.assertEqual(self.hub.requests, [])

    def test_a_hub_that_is_not_reached_is_told_at_once(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            self.env["HF_ENDPOINT"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        begin = time.monotonic()
        self.refused_pull("cannot reach 127.0.0.1")
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_misspelt_path_is_no_question_for_the_hub(self):
        (self.folder / "maker").mkdir()
        self.refused_model("no such folder or file", "maker/tiny")
        self.assertEqual(self.hub.requests, [])

    def refused_model(self, text, model):
        return self.refused(3, text, "run", "sd21_txt2img", "--set", f"model={model}", *QUICK)


if __name__ == "__main__":
    unittest.main()
