"""Publish-subscribe: of every account (`pep`) and as a service of its own (`service`); both are `engine.Engine`s."""
