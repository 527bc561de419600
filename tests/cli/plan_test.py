"""What `emulsion plan` shows, and what it makes of devices and profiles.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import json
import unittest
from xml.etree import ElementTree

from command import QUICK, TINY, CliTest


class Plan(CliTest):
    def test_a_plan_is_drawn_and_what_a_run_measured_lies_on_top(self):
        plan = ["plan", "sd21_txt2img", "--svg", "p.svg"]
        done = self.emulsion(*plan)
        self.assertEqual((done.stdout, done.stderr), ("p.svg\n", ""))
        planned = ElementTree.parse(self.folder / "p.svg").getroot()
        self.assertTrue(planned.tag.endswith("svg"))
        self.emulsion("run", "sd21_txt2img", "--report", "r.json", *QUICK)
        self.assertEqual(self.emulsion(*plan, "--report", "r.json").returncode, 0)
        measured = ElementTree.parse(self.folder / "p.svg").getroot()
        lines = [path for path in measured.iter() if path.get("class") == "measured"]
        self.assertEqual(len(lines), 2)  # the legend, and one device
        self.refused(2, "goes with --svg", "plan", "sd21_txt2img", "--report", "r.json")
        self.refused(2, "'trace'", *plan, "--report", str(TINY / "model_index.json"))
        self.refused(2, "cannot be read", *plan, "--report", "none.json")
        self.refused(2, "'no'", "plan", "sd21_txt2img", "--svg", "no/p.svg")

    def test_profiles_are_listed_by_help_and_named_by_the_plan(self):
        listed = self.emulsion("plan", "--help").stdout
        for name in ("auto", "full_gpu", "balanced", "gpu_poor", "extreme", "cpu_only"):
            self.assertRegex(listed, rf"(?m)^  {name} ")
        plan = ["plan", "sd21_txt2img", "--device", "sim:a=6GiB", "--profile"]
        self.assertIn("profile gpu_poor", self.emulsion(*plan, "gpu_poor").stdout)
        self.refused(2, "gpu_poor", *plan, "gpu_rich")

    def test_speeds_are_measured_by_a_command_of_their_own(self):
        self.refused(2, "subcommand", "models")
        self.assertIn("--device", self.emulsion("models", "bench", "--help").stdout)

    def test_several_devices_share_a_graph(self):
        devices = ["--device", "sim:a=6GiB", "--device", "sim:b=6GiB", "--device", "cpu=4GiB"]
        plan = json.loads(self.emulsion("plan", "sd21_txt2img", *devices, "--json").stdout)
        self.assertEqual([d["name"] for d in plan["devices"]], ["sim:a", "sim:b", "cpu"])


if __name__ == "__main__":
    unittest.main()
