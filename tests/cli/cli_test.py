"""The command line as a user meets it: what it prints, writes, and exits with.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import time
import unittest

from command import EMULSION, QUICK, CliTest


class Commands(CliTest):
    def test_run_writes_the_picture_named_after_graph_and_seed_and_prints_its_path(self):
        done = self.emulsion("run", "sd21_txt2img", "--set", "seed=3", *QUICK)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "sd21_txt2img_3.png\n")
        picture = (self.folder / "sd21_txt2img_3.png").read_bytes()
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", picture[16:24]), (128, 128))
        self.assertEqual(done.stderr, "")

    def test_outputs_go_where_out_says_and_a_batch_is_numbered(self):
        done = self.emulsion(
            "run",
            "sd21_txt2img",
            "--set",
            "batch=2",
            "--out",
            "image=a.exr",
            "--out",
            "latent=b.safetensors",
            *QUICK,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["a_0001.exr", "a_0002.exr", "b.safetensors"])
        data = (self.folder / "b.safetensors").read_bytes()
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        self.assertEqual(header["latent"]["dtype"], "F32")
        self.assertEqual(header["latent"]["shape"], [2, 4, 16, 16])

    def test_the_report_has_every_key_of_the_contract(self):
        self.emulsion("run", "sd21_txt2img", "--report", "r.json", *QUICK)
        report = json.loads((self.folder / "r.json").read_text())
        keys = {
            "graph",
            "seconds",
            "devices",
            "steps",
            "transfers",
            "evictions",
            "denoise_seconds_per_step",
            "load_seconds",
            "versions",
        }
        self.assertLessEqual(keys, report.keys())
        device = report["devices"][0]
        self.assertEqual(device["name"], "cpu")
        self.assertGreater(device["measured_peak_bytes"], 0)
        self.assertLessEqual(device["measured_peak_bytes"], device["planned_peak_bytes"])
        steps = {step["node"]: step for step in report["steps"]}
        self.assertEqual(steps["denoise.unet"]["iterations"], 2)
        for step in report["steps"]:
            self.assertGreater(step["measured_peak_bytes"], 0)
            self.assertLessEqual(step["measured_peak_bytes"], step["estimated_peak_bytes"], step)

    def test_a_graph_tells_its_inputs_and_outputs(self):
        help_text = self.emulsion("run", "sd21_txt2img", "--help").stdout
        for name in (
            "model",
            "prompt",
            "negative_prompt",
            "width",
            "height",
            "steps",
            "guidance",
            "seed",
            "sampler",
            "schedule",
            "batch",
            "image",
            "latent",
        ):
            self.assertRegex(help_text, rf"(?m)^  {name} ")

    def test_plan_check_graph_and_nodes_print_and_run_nothing(self):
        self.assertIn("+ sd.unet", self.emulsion("plan", "sd21_txt2img").stdout)
        self.assertIn("load    sd.unet", self.emulsion("plan", "sd21_txt2img", "--steps").stdout)
        plan = json.loads(self.emulsion("plan", "sd21_txt2img", "--json").stdout)
        self.assertEqual(plan["graph"], "sd21_txt2img")
        self.assertIn("no faults", self.emulsion("check", "sd21_txt2img").stdout)
        self.assertTrue(self.emulsion("graph", "sd21_txt2img").stdout.startswith("digraph"))
        self.assertIn("unet_step", self.emulsion("nodes").stdout)
        node = json.loads(self.emulsion("nodes", "unet_step", "--json").stdout)[0]
        self.assertEqual(node["id"], "unet_step")
        self.assertIn("guidance", self.emulsion("nodes", "unet_step").stdout)
        self.assertIn("unet_step", self.emulsion("nodes", "--why", "unet_step").stdout)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_simulated_device_is_planned_for_and_not_run_on(self):
        device = ["--device", "sim:a=6GiB"]
        self.assertIn("sim:a", self.emulsion("plan", "sd21_txt2img", *device).stdout)
        self.refused(2, "simulated", "run", "sd21_txt2img", *device)

    def test_a_logical_device_draws_what_the_cpu_draws(self):
        for name, device in (("a", "cpu"), ("b", "logical:b=1GiB")):
            done = self.emulsion(
                "run",
                "sd21_txt2img",
                "--device",
                device,
                "--dtype",
                "f32",
                "--out",
                f"latent={name}.safetensors",
                *QUICK,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
        a, b = ((self.folder / f"{name}.safetensors").read_bytes() for name in "ab")
        self.assertEqual(a, b)


class BadInput(CliTest):
    def test_the_command_line_is_refused_with_2(self):
        self.refused(2, "a command is missing")
        self.refused(2, "frobnicate", "frobnicate")
        self.refused(2, "GRAPH is missing", "run")
        self.refused(2, "did you mean 'sd21_txt2img'", "run", "sd21_txt2im")
        self.refused(2, "expected NAME=VALUE", "run", "sd21_txt2img", "--set", "steps")
        self.refused(
            2, "given twice", "run", "sd21_txt2img", "--set", "steps=1", "--set", "steps=2"
        )
        self.refused(2, "did you mean 'steps'", "run", "sd21_txt2img", "--set", "stpes=1")
        self.refused(2, "did you mean 'image'", "run", "sd21_txt2img", "--out", "imge=a.png")
        self.refused(2, "--device gpu", "run", "sd21_txt2img", "--device", "gpu")
        self.refused(2, "--dtype f8", "run", "sd21_txt2img", "--dtype", "f8")
        self.refused(2, "no node type", "nodes", "unet_stp")

    def test_values_out_of_range_are_refused_with_2(self):
        for text, value in (
            ("steps", "steps=0"),
            ("steps", "steps=2.5"),
            ("width", "width=0"),
            ("width", "width=100"),
            ("height", "height=-8"),
            ("sampler", "sampler=elur"),
            ("guidance", "guidance=lots"),
            ("guidance", "guidance=nan"),
            ("seed", "seed=-1"),
            ("batch", "batch=0"),
        ):
            self.refused(2, text, "run", "sd21_txt2img", "--set", value)

    def test_a_prompt_of_invalid_utf8_is_refused(self):
        command = [os.fsencode(EMULSION), b"run", b"sd21_txt2img", b"--set", b"prompt=a \xff star"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"UTF-8", done.stderr)

    def test_a_graph_that_is_none_is_refused_with_2(self):
        (self.folder / "bad.json").write_text('{\n  "emulsion": 1,\n  nodes\n}')
        self.refused(2, "bad.json", "run", "bad.json")
        (self.folder / "new.json").write_text('{"emulsion": 99}')
        self.refused(2, "99", "check", "new.json")

    def test_a_size_that_cannot_fit_is_refused_with_4_before_anything_is_loaded(self):
        line = self.refused(
            4,
            "does not fit",
            "run",
            "sd21_txt2img",
            "--set",
            "width=8192",
            "--set",
            "height=8192",
            "--device",
            "cpu=1GiB",
        )
        self.assertIn("the smallest budget", line)
        self.refused(4, "does not fit", "plan", "sd21_txt2img", "--device", "cpu=1MiB")

    def test_an_output_folder_that_is_not_there_is_refused_before_the_run(self):
        start = time.monotonic()
        done = self.emulsion(
            "run", "sd21_txt2img", "--out", "image=no/a.png", "--set", "steps=1000", "--quiet"
        )
        self.assertIn(done.returncode, (1, 2), done.stderr)
        self.assertIn("'no'", done.stderr)
        self.assertLess(time.monotonic() - start, 20)
        self.refused(2, "'no'", "run", "sd21_txt2img", "--report", "no/r.json", *QUICK)

    def test_an_output_that_cannot_be_written_leaves_no_half_file(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

        for name in ("image=a.png", "image=a.exr", "latent=a.safetensors"):
            self.refused(
                1, "a.", "run", "sd21_txt2img", "--out", name, *QUICK, preexec_fn=small_files
            )
            self.assertEqual(list(self.folder.iterdir()), [])


class BadModels(CliTest):
    def weights(self, model, part="unet"):
        name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        return model / part / f"{name}.safetensors"

    def edit_config(self, model, part, **changes):
        path = next((model / part).glob("*config.json"))
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def edit_header(self, model, change):
        path = self.weights(model)
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    def test_a_folder_that_is_missing_empty_or_of_another_kind(self):
        self.refused_model("nowhere", "nowhere")
        empty = self.folder / "empty"
        empty.mkdir()
        self.refused_model("empty", empty)
        model = self.model()
        shutil.move(model / "unet", model / "transformer")
        self.refused_model("unet", model)

    def test_a_config_that_is_absent_not_json_or_at_odds_with_the_weights(self):
        model = self.model()
        (model / "unet" / "config.json").write_text("{")
        self.refused_model("unet", model)
        (model / "unet" / "config.json").unlink()
        self.refused_model("unet", model)
        shutil.rmtree(model)
        model = self.model()
        self.edit_config(model, "unet", layers_per_block=2)
        self.refused_model("missing", model)

    def test_a_config_of_another_family_says_so(self):
        model = self.model()
        self.edit_config(model, "unet", addition_embed_type="text_image")
        self.refused_model("SDXL", model)

    def test_a_file_that_is_empty_cut_short_or_has_a_header_that_lies(self):
        model = self.model()
        path = self.weights(model)
        data = path.read_bytes()
        for damaged in (
            b"",
            data[:4],
            data[:1000],
            data[:-1000],
            struct.pack("<Q", 1 << 40) + data[8:],
        ):
            path.write_bytes(damaged)
            self.refused_model("diffusion_pytorch_model.safetensors", model)

    def test_a_tensor_that_is_missing_extra_misshapen_overlapping_or_of_an_unknown_dtype(self):
        name = "conv_in.weight"

        def misshape(header):
            header[name]["shape"][0] //= 2
            header[name]["shape"][1] *= 2

        def overlap(header):
            header[name]["data_offsets"] = header["conv_in.bias"]["data_offsets"]
            header[name]["shape"] = header["conv_in.bias"]["shape"]

        def out_of_range(header):
            header[name]["data_offsets"] = [1 << 40, (1 << 40) + 2304]

        def rename(header):
            header["conv_in.wieght"] = header.pop(name)

        def retype(header):
            header[name]["dtype"] = "Q7"

        for change in (misshape, overlap, out_of_range, rename, retype):
            with self.subTest(change.__name__):
                model = self.model()
                self.edit_header(model, change)
                self.assertIn("conv_in", self.refused_model("", model))
                shutil.rmtree(model)

    def test_nan_weights_name_the_first_tensor(self):
        model = self.model()
        path = self.weights(model)
        data = bytearray(path.read_bytes())
        (length,) = struct.unpack("<Q", data[:8])
        begin, end = json.loads(data[8 : 8 + length])["conv_in.weight"]["data_offsets"]
        data[8 + length + begin : 8 + length + end] = b"\xff\x7f" * ((end - begin) // 2)
        path.write_bytes(data)
        self.assertIn("NaN", self.refused_model("'conv_in.weight'", model))


class Cancel(CliTest):
    def interrupted(self, number, seconds):
        command = [
            str(EMULSION),
            "run",
            "sd21_txt2img",
            "--set",
            "steps=1000",
            "--out",
            "image=a.png",
            "--out",
            "latent=a.safetensors",
            "--report",
            "r.json",
        ]
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(seconds)
        start = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=60)
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual(list(self.folder.iterdir()), [])
        return process.returncode

    def test_an_interrupt_ends_the_run_at_any_moment_and_leaves_no_file(self):
        for seconds in (1.0, 2.0, 3.0):
            self.assertIn(self.interrupted(signal.SIGINT, seconds), (130, -signal.SIGINT))

    def test_a_terminate_gives_143(self):
        self.assertEqual(self.interrupted(signal.SIGTERM, 3.0), 143)


if __name__ == "__main__":
    unittest.main()
