"""`-m "not torch"` must run where torch is not installed, so the files that import it are not even read then."""


def pytest_ignore_collect(collection_path, config):
    if config.option.markexpr == "not torch" and collection_path.name.startswith("test_torch_"):
        return True
    return None
