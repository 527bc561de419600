"""A hub on 127.0.0.1 that cuts, stalls, lies and refuses: what is downloaded is whole or not there.

Run by ctest with EMULSION_TEST_BUILD naming the build tree.
"""

import shutil
import signal
import subprocess
import time
import unittest

import hub_server
from hub_case import EMULSION, NEEDED, TOKEN, UNET, HubTest
from hub_server import cut_after, etag_of, stall_after, status


class Misbehaviour(HubTest):
    def setUp(self):
        super().setUp()
        self.etag = etag_of(UNET, NEEDED[UNET])

    def ranges(self):
        return [headers.get("Range") for headers in self.hub.asked(self.etag)]

    def test_a_connection_that_is_cut_is_taken_up_where_it_ended(self):
        self.hub.fail(self.etag, cut_after(100_000, NEEDED[UNET]), times=1)
        self.pull("--quiet")
        self.assert_pulled()
        self.assertEqual(self.ranges(), [None, "bytes=100000-"])

    def test_a_server_without_ranges_begins_anew(self):
        self.hub.fail(self.etag, cut_after(100_000, NEEDED[UNET]), times=1)
        self.hub.knows_ranges = False
        self.pull("--quiet")
        self.assert_pulled()

    def test_an_interrupted_pull_ends_within_a_second_and_the_next_goes_on(self):
        self.hub.fail(self.etag, stall_after(200_000, NEEDED[UNET], 5), times=1)
        pull = subprocess.Popen(
            [str(EMULSION), "models", "pull", "maker/tiny", "--quiet"],
            env=self.env,
            stderr=subprocess.PIPE,
            text=True,
        )
        part = self.blob(UNET, ".incomplete")
        end = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size > 0 or time.monotonic() > end):
            time.sleep(0.02)
        pull.send_signal(signal.SIGINT)
        begin = time.monotonic()
        self.assertEqual(pull.communicate(timeout=20)[1], "emulsion: cancelled\n")
        self.assertLess(time.monotonic() - begin, 1)
        self.assertEqual(pull.returncode, 130)
        self.assertGreater(part.stat().st_size, 0)
        self.assertFalse(self.blob(UNET).exists())
        self.assertFalse((self.store / "refs" / "main").exists())
        size = part.stat().st_size
        self.pull("--quiet")
        self.assertEqual(self.ranges()[-1], f"bytes={size}-")
        self.assert_pulled()

    def test_a_left_part_of_another_file_is_found_out(self):
        part = self.blob(UNET, ".incomplete")
        part.parent.mkdir(parents=True)
        part.write_bytes(b"x" * 1000)
        self.pull("--quiet")
        self.assert_pulled()
        part = self.blob(UNET)
        part.rename(self.blob(UNET, ".incomplete"))  # whole, but not in its place yet
        self.hub.requests.clear()
        self.pull("--quiet")
        self.assertEqual(self.ranges(), [])

    def test_a_wrong_hash_and_a_wrong_length_are_refused_and_leave_no_blob(self):
        data = NEEDED[UNET]
        wrong = data[:-1] + bytes([data[-1] ^ 1])
        self.hub.fail(self.etag, hub_server.send(wrong), times=1)
        self.refused_pull(f"expected hash {self.etag}, got sha256 {etag_of(UNET, wrong)}")
        self.assertFalse(self.blob(UNET).exists())
        self.hub.fail(self.etag, hub_server.send(data + b"more"), times=1)
        self.refused_pull(f"expected {len(data)} bytes, got a file of {len(data) + 4}")
        shutil.rmtree(self.store)
        vocab = NEEDED["tokenizer/vocab.json"]
        self.hub.fail("vocab.json", hub_server.send(vocab.replace(b"a", b"b")), times=1)
        self.refused_pull("got git's sha1")
        self.pull("--quiet")
        self.assert_pulled()

    def test_refusals_say_what_to_do(self):
        self.refused_pull("no repository 'maker/none' on 127.0.0.1", "maker/none")
        self.refused_pull("has no revision 'v9'; leave '@v9' out", "maker/tiny@v9")
        self.env["HF_TOKEN"] = TOKEN
        self.refused_pull("that your token may read", "maker/none")
        self.hub.fail("/main", status(403, "GatedRepo"), times=1)
        self.refused_pull(f"accept its terms on {self.hub.endpoint}/maker/tiny")
        self.hub.fail("/main", status(401), times=1)
        self.refused_pull("check the name and the token")
        self.hub.fail("/main", status(403), times=1)
        self.refused_pull("check that your token")
        self.hub.fail("config.json", status(404, "EntryNotFound"), times=1)
        self.refused_pull("is gone")
        self.refused(2, "expected a hub id", "models", "pull", "no-id")

    def test_a_server_that_asks_to_wait_is_obeyed_unless_it_takes_too_long(self):
        self.hub.fail("/main", status(429, Retry_After=1), times=1)
        done = self.pull("--quiet")
        self.assertIn("asks to wait; going on in 1 s", done.stderr)
        self.hub.fail("/main", status(429, Retry_After=7200), times=1)
        self.refused_pull("asked too often (429); pull again in 7200 s")

    def test_faults_of_the_server_are_waited_for_but_not_for_ever(self):
        self.hub.fail(self.etag, status(500), times=2)
        self.hub.fail("/main", status(503), times=1)
        self.pull("--quiet")
        self.assert_pulled()
        self.hub.fail("/main", status(500))
        self.refused_pull("has a fault (500)")

    def test_silence_is_not_waited_for_longer_than_the_timeout(self):
        self.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"
        self.hub.fail(self.etag, stall_after(50_000, NEEDED[UNET], 30), times=1)
        begin = time.monotonic()
        self.pull("--quiet")
        self.assertLess(time.monotonic() - begin, 20)
        self.assert_pulled()

    def test_a_link_of_the_store_that_has_expired_is_asked_for_again(self):
        self.hub.fail(self.etag, status(403), times=1)
        self.pull("--quiet")
        self.assert_pulled()

    def test_paths_that_lead_out_of_the_repository_are_refused(self):
        for path in ("../evil", "unet/../../evil", "/evil", "C:/evil", "a\\evil", "a\nb", "a//b"):
            with self.subTest(path):
                self.repository.files = NEEDED | {path: b"evil"}
                line = self.refused_pull("do not use this repository")
                self.assertNotIn("\n", line)
        self.assertEqual([path for path in self.folder.rglob("*evil*")], [])

    def test_a_list_that_is_none_is_refused(self):
        for text in (b"not json", b"[]", b'{"sha": "../../x", "siblings": []}'):
            self.hub.fail("/main", hub_server.send(text), times=1)
            self.refused_pull("the server's list of files")


if __name__ == "__main__":
    unittest.main()
