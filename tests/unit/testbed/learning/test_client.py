import numpy as np

from seawall.testbed.learning.client import Client, make_clients, make_root_owner
from seawall.testbed.learning.digits import federate
from seawall.testbed.learning.model import PARAMETER_COUNT, Training, initial_head

TRAINING = Training()
HEAD = initial_head(5, TRAINING.grid_bits)


def make_client(index: int, *, attacker: bool = False) -> Client:
    samples = federate(5).clients[0]
    return Client(index=index, samples=samples, training=TRAINING, attacker=attacker)


def test_an_update_is_a_function_of_seed_client_and_base() -> None:
    client = make_client(0)
    first = client.update(HEAD, base_version=4, seed=5)
    assert first.delta.dtype == np.int32
    assert first.delta.shape == (PARAMETER_COUNT,)
    assert (first.num_examples, first.saturated) == (len(client.samples), 0)
    assert first.delta.tolist() == client.update(HEAD, base_version=4, seed=5).delta.tolist()
    others = [
        client.update(HEAD, base_version=3, seed=5),
        client.update(HEAD, base_version=4, seed=6),
        make_client(1).update(HEAD, base_version=4, seed=5),
    ]
    assert all(other.delta.tolist() != first.delta.tolist() for other in others)


def test_an_attacker_sends_the_negative_of_what_it_learnt() -> None:
    honest = make_client(0).update(HEAD, base_version=0, seed=5).delta
    flipped = make_client(0, attacker=True).update(HEAD, base_version=0, seed=5).delta
    assert flipped.tolist() == (-honest).tolist()
    assert honest.any()


def test_attackers_are_drawn_by_seed() -> None:
    federation = federate(5)

    def cheats(seed: int) -> list[int]:
        clients = make_clients(federation, TRAINING, attackers=6, seed=seed)
        assert [client.index for client in clients] == list(range(20))
        return [client.index for client in clients if client.attacker]

    assert len(cheats(1)) == 6
    assert cheats(1) == cheats(1) != cheats(2)
    assert not any(one.attacker for one in make_clients(federation, TRAINING, attackers=0, seed=1))


def test_the_root_owner_is_honest_and_holds_the_root_samples() -> None:
    federation = federate(5)
    owner = make_root_owner(federation, TRAINING)
    assert owner.samples is federation.root
    assert not owner.attacker
