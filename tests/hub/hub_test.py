"""Models from the hub as a user meets them, against a hub on 127.0.0.1.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import os
import pty
import socket
import struct
import subprocess
import time
import unittest
from pathlib import Path

from hub_case import EMULSION, NEEDED, QUICK, TOKEN, UNET, VAE, HubTest
from hub_server import COMMIT, Repository, cut_after, etag_of, late, send


def safetensors(tensors):
    """A file of float32 tensors, which are lists of numbers or of rows."""
    header, data = {}, b""
    for name, values in tensors.items():
        rows = values if isinstance(values[0], list) else [values]
        begin = len(data)
        for row in rows:
            data += struct.pack(f"<{len(row)}f", *row)
        shape = [len(rows), len(rows[0])] if isinstance(values[0], list) else [len(values)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def lora(factor):
    """Another bias of the tiny model's first convolution."""
    return safetensors({"lora_unet_conv_in.diff_b": [factor * i for i in range(32)]})


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
        self.repository.files = {"one.safetensors": b"x", "other.safetensors": b"x"}
        self.refused_pull("name one of its files: maker/tiny/one.safetensors")
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


class Parts(HubTest):
    """Adapters, embeddings and VAEs, which are repositories of their own."""

    def serve(self, name, files):
        self.hub.repositories[name] = Repository({"README.md": b"# About", **files})

    def picture(self, graph, *values):
        arguments = [graph, *QUICK, "--out", "image=p.png"]
        for value in values:
            arguments += ["--set", value]
        done = self.emulsion("run", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return (self.folder / "p.png").read_bytes()

    def assert_offline(self, graph, *values):
        """What was brought once is there."""
        self.hub.requests.clear()
        picture = self.picture(graph, *values)
        self.assertEqual(self.hub.requests, [])
        return picture

    def test_a_vae_by_itself_is_a_model_s_part(self):
        config = NEEDED["vae/config.json"].replace(b"0.52539", b"0.6")
        name = "diffusion_pytorch_model"
        self.serve(
            "maker/vae",
            {
                "config.json": config,
                f"{name}.safetensors": NEEDED[VAE],
                f"{name}.bin": b"a pickle",
                "other.safetensors": b"not needed",
            },
        )
        local = self.folder / "vae"
        local.mkdir()
        (local / "config.json").write_bytes(config)
        (local / f"{name}.safetensors").write_bytes(NEEDED[VAE])
        self.refused(
            3, "pull maker/vae", "plan", "sd21_txt2img", "--set", "vae=maker/vae", env=self.env
        )
        own = self.picture("sd21_txt2img", f"vae={local}")
        self.assertEqual(self.picture("sd21_txt2img", "vae=maker/vae"), own)
        self.assertEqual(self.assert_offline("sd21_txt2img", "vae=maker/vae"), own)
        self.assertNotEqual(self.picture("sd21_txt2img"), own)
        self.assertEqual(self.hub.asked(etag_of("x.bin", b"a pickle")), [])
        self.assertRegex(self.emulsion("models", "list").stdout, r"(?m)^maker/vae  .*hub's cache")

    def test_adapters_come_by_repository_or_by_file(self):
        files = {key: lora(factor) for key, factor in (("a", 0.1), ("b", 0.2), ("c", 0.3))}
        self.serve("maker/one", {"pytorch_lora_weights.safetensors": files["a"]})
        self.serve("maker/two", {"b.safetensors": files["b"], "c.safetensors": files["c"]})
        self.serve(
            "maker/peft",
            {"adapter_model.safetensors": files["c"], "adapter_config.json": b'{"r": 4}'},
        )
        for key, data in files.items():
            (self.folder / f"{key}.safetensors").write_bytes(data)
        graph = "sd21_txt2img_lora"
        self.refused(3, "pull maker/one", "plan", graph, "--set", "lora=maker/one:0.5")
        by_id = "lora=maker/one:0.5, maker/two/b.safetensors, maker/peft:2"
        by_path = "lora=a.safetensors:0.5, b.safetensors, c.safetensors:2"
        self.hub.fail(etag_of("x.safetensors", files["b"]), cut_after(20, files["b"]), times=1)
        own = self.picture(graph, by_path)
        self.assertEqual(self.picture(graph, by_id), own)
        self.assertEqual(self.assert_offline(graph, by_id), own)
        self.assertNotEqual(self.picture(graph), own)
        self.assertEqual(self.hub.asked(etag_of("x.safetensors", files["c"])), [])
        self.assertEqual(len(list(self.cache.rglob("adapter_config.json"))), 1)

    def test_a_damaged_adapter_is_refused(self):
        data = lora(0.4)
        self.serve("maker/bad", {"d.safetensors": data})
        self.hub.fail(etag_of("d.safetensors", data), send(data[:-1] + b"x"))
        run = ["run", "sd21_txt2img_lora", *QUICK, "--set", "lora=maker/bad"]
        self.refused(3, "expected hash", *run)
        self.assertEqual(list(self.cache.rglob("*.safetensors")), [])

    def test_a_repository_of_several_files_is_refused_with_one_to_name(self):
        self.serve("maker/two", {"b.safetensors": b"b", "c.safetensors": b"c"})
        run = ["run", "sd21_txt2img_lora", *QUICK, "--set", "lora=maker/two"]
        self.refused(3, "name one of its files: maker/two/b.safetensors", *run)

    def test_embeddings_come_by_repository_or_by_file(self):
        data = safetensors({"<star>": [[0.01 * i for i in range(64)]]})
        self.serve("maker/star", {"learned_embeds.safetensors": data, "learned_embeds.bin": b"x"})
        (self.folder / "embeddings").mkdir()
        (self.folder / "embeddings" / "learned_embeds.safetensors").write_bytes(data)
        prompt = "prompt=embedding:learned_embeds"
        graph = "sd21_txt2img"
        own = self.picture(graph, prompt, "embeddings=embeddings")
        self.refused(
            3, "pull maker/star", "plan", graph, "--set", prompt, "--set", "embeddings=maker/star"
        )
        self.assertEqual(self.picture(graph, prompt, "embeddings=maker/star"), own)
        by_file = "embeddings=maker/star/learned_embeds.safetensors"
        self.assertEqual(self.assert_offline(graph, prompt, by_file), own)
        self.assertNotEqual(self.picture(graph), own)

    def test_a_single_file_s_settings_and_vocabulary_come_with_it(self):
        own = self.picture("sd21_txt2img")
        done = self.emulsion("models", "convert", "tiny-sd21", "tiny.safetensors", "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = [path for path in self.folder.rglob("tiny.*") if path.is_file()]
        found += list((self.folder / "tiny.tokenizer").iterdir())
        names = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}
        self.serve("maker/single", {**names, "big.safetensors": b"not needed"})
        by_id = "model=maker/single/tiny.safetensors"
        self.assertEqual(self.picture("sd21_txt2img", by_id), own)
        self.assertEqual(self.assert_offline("sd21_txt2img", by_id), own)


class Huge(Repository):
    def sibling(self, path, data):
        entry = super().sibling(path, data)
        if "lfs" in entry:
            entry["size"] = entry["lfs"]["size"] = 1 << 60
        return entry


class FullDisk(HubTest):
    def test_what_has_no_room_is_refused_before_it_is_brought(self):
        self.hub.repositories["maker/tiny"] = Huge(NEEDED)
        self.refused_pull("TiB free for")
        self.assertEqual(self.hub.asked("", "store"), [])
        self.assertFalse((self.store / "refs" / "main").exists())


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
