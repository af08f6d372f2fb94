"""XEP-0185: the keys are those of its example."""

from jabberd_py.s2s import dialback


def test_a_key_is_that_of_the_specification():
    key = dialback.key("s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F")
    assert key == "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"


def test_a_key_is_for_one_stream_and_one_direction():
    one = dialback.key("secret", "a.example", "b.example", "1")
    assert one != dialback.key("secret", "a.example", "b.example", "2")
    assert one != dialback.key("secret", "b.example", "a.example", "1")
    assert one != dialback.key("other", "a.example", "b.example", "1")
