"""XEP-0479: XMPP Compliance Suites 2023, what they ask of a server. docs/protocols.md says of each row whether it is met."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple


class Row(NamedTuple):
    """``advanced``: only the level "Advanced Server" asks for it. ``providers``: the protocols that it takes, by name.
    ``tests``: what proves it, "file::function" of each."""

    suite: str
    feature: str
    advanced: bool
    providers: tuple[str, ...]
    tests: tuple[str, ...] = ()

    def met(self, offered: Set[str]) -> bool:
        """``offered``: names of protocols."""
        return bool(self.tests) and offered >= set(self.providers)


ROWS = (
    Row("Core", "Core features", False, ("RFC 6120",), ("tests/c2s/test_sasl.py::test_a_login",)),
    Row("Core", "TLS", False, ("RFC 7590",), ("tests/c2s/test_sasl.py::test_nobody_logs_in_without_tls",)),
    Row("Core", "Direct TLS", True, ("XEP-0368",), ("tests/c2s/test_stream.py::test_every_host_shows_its_own_certificate",)),
    Row("Core", "Feature discovery", False, ("XEP-0030",),
        ("tests/modules/test_mod_disco.py::test_the_server_says_what_it_is_and_can",)),
    Row("Core", "Feature broadcasts", True, ("XEP-0115",),
        ("tests/modules/test_mod_caps.py::test_the_hash_stands_in_the_features_and_can_be_asked_for",)),
    Row("Core", "Server extensibility", False, ("XEP-0114",),
        ("tests/component/test_component.py::test_the_handshake_of_the_xep",)),
    Row("Core", "Event publishing", True, ("XEP-0163",),
        ("tests/pubsub/test_pep.py::test_a_contact_who_wants_to_know_hears_and_may_ask",)),
    Row("Web", "Web connection mechanisms", False, ("RFC 7395", "XEP-0206", "XEP-0124"),
        ("tests/http/test_websocket.py::test_romeo_in_a_browser_and_juliet_over_tcp",
         "tests/http/test_bosh.py::test_romeo_over_bosh_and_juliet_over_tcp")),
    Row("IM", "Core features", False, ("RFC 6121",), ("tests/rfc6121/test_appendix_a.py::test_received_by_the_user",)),
    Row("IM", "User avatar compatibility", True, ("XEP-0398", "XEP-0153"),
        ("tests/pubsub/test_avatar.py::test_a_photo_in_the_vcard_becomes_the_avatar",
         "tests/pubsub/test_avatar.py::test_an_avatar_is_in_the_vcard_for_those_who_may_see_it",
         "tests/pubsub/test_avatar.py::test_contacts_hear_the_hash")),
    Row("IM", "vcard-temp", False, ("XEP-0054",), ("tests/modules/test_mod_vcard.py::test_anybody_may_read_it",)),
    Row("IM", "Outbound message synchronization", False, ("XEP-0280",),
        ("tests/modules/test_mod_carbons.py::test_what_one_sends_is_copied",)),
    Row("IM", "User blocking", True, ("XEP-0191",),
        ("tests/modules/test_mod_blocking.py::test_a_blocked_contact_meets_a_closed_door",)),
    Row("IM", "Group chat", False, ("XEP-0045", "XEP-0249"),
        ("tests/muc/test_occupants.py::test_example_18_to_22_who_enters_sees_the_others_and_then_itself",
         "tests/test_compliance.py::test_a_direct_invitation_arrives_and_waits_for_the_absent")),
    Row("IM", "Advanced group chat", True, ("XEP-0048", "XEP-0313", "XEP-0402", "XEP-0410"),
        ("tests/pubsub/test_bookmarks.py::test_three_forms_are_in_step_whoever_writes",
         "tests/muc/test_archive.py::test_the_archive_has_what_was_said",
         "tests/muc/test_features.py::test_xep_0410_example_1_to_4_self_ping")),
    Row("IM", "Persistent storage of private data via PubSub", True, ("XEP-0223",),
        ("tests/pubsub/test_examples_personal.py::test_0402_examples_1_to_14_bookmarks_come_are_corrected_and_go",)),
    Row("IM", "Private XML storage", True, ("XEP-0049",),
        ("tests/modules/test_mod_private.py::test_what_is_stored_comes_back",)),
    Row("IM", "Stream management", True, ("XEP-0198",), ("tests/c2s/test_sm.py::test_a_lost_stream_is_resumed",)),
    Row("IM", "History storage and retrieval", True, ("XEP-0313",),
        ("tests/modules/test_mod_mam.py::test_both_have_the_conversation",)),
    Row("IM", "File upload", False, ("XEP-0363",), ("tests/http/test_upload.py::test_a_file_goes_and_comes_back",)),
    Row("Mobile", "Stream management", False, ("XEP-0198",), ("tests/c2s/test_sm.py::test_a_lost_stream_is_resumed",)),
    Row("Mobile", "Client state indication", False, ("XEP-0352",),
        ("tests/modules/test_mod_csi.py::test_presence_waits_and_only_the_last_comes",)),
    Row("Mobile", "Third party push notifications", True, ("XEP-0357",)),
    Row("A/V calling", "STUN/TURN server discovery", False, ("XEP-0215",),
        ("tests/modules/test_mod_external.py::test_examples_1_and_2_all_services",)),
)  # fmt: skip
