from seawall.testbed.observer import SiteView, forks


def view(site: int, size: int, root: str, error: str = "") -> SiteView:
    return SiteView(site=site, name=f"site-{site}", error=error, tree_size=size, root=root)


def test_equal_sizes_with_two_roots_are_a_fork() -> None:
    views = (view(0, 5, "aa"), view(1, 5, "bb"), view(2, 6, "cc"), view(3, 5, "aa"))
    assert forks(views) == (("site-0", "site-1"), ("site-1", "site-3"))


def test_other_sizes_silence_and_empty_trees_are_none() -> None:
    views = (view(0, 5, "aa"), view(1, 6, "bb"), view(2, 5, "bb", "RPC_UNAVAILABLE"))
    assert forks(views) == ()
    assert forks((view(0, 0, ""), view(1, 0, "aa"))) == ()
