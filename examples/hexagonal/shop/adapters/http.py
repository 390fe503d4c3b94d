"""The shop over HTTP: paths, statuses and JSON. No rule of the shop is in here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any

from shop.domain.model import EmailTaken, Invalid, NotFound, NotLoggedIn, ShopError, SkuTaken, Unavailable
from shop.domain.service import Shop

from pierhead import App, HTTPError, Request, Response

__all__ = ["application"]

LAST_ID = 2**63 - 1
STATUS: dict[type[ShopError], int] = {
    Invalid: 422,
    NotFound: 404,
    NotLoggedIn: 401,
    EmailTaken: 409,
    SkuTaken: 409,
    Unavailable: 503,
}


def application(compose: Callable[[], AbstractAsyncContextManager[Shop]]) -> App:
    """Return the application; each worker that starts gets a shop of its own from `compose`."""
    app = App("hexagonal")
    routes = Routes()

    @app.lifespan
    async def composed(app: App) -> AsyncIterator[None]:
        async with compose() as routes.shop:
            yield

    app.exception(ShopError)(refused)
    app.get("/")(routes.index)
    app.post("/users")(routes.register)
    app.get("/me")(routes.me)
    app.post("/login")(routes.login)
    app.post("/logout")(routes.logout)
    app.get("/products")(routes.list_products)
    app.post("/products")(routes.add_product)
    app.get("/products/{product_id:int}")(routes.product)
    return app


class Routes:
    """One method for each route."""

    shop: Shop

    async def index(self, request: Request) -> dict[str, str]:
        """Say what is here."""
        path = request.url_for_path
        return {
            "example": "hexagonal",
            "products": path("/products"),
            "users": path("/users"),
            "login": path("/login"),
        }

    async def register(self, request: Request) -> Response:
        """Register a user."""
        user = await self.shop.register(await request.json())
        return Response.json(user, status=201, headers={"Location": request.url_for_path("/me")})

    async def login(self, request: Request) -> Response:
        """Give a token for an email and a password."""
        session = await self.shop.login(await request.json())
        return Response.json(asdict(session), headers={"Cache-Control": "no-store"})

    async def logout(self, request: Request) -> Response:
        """Make the token useless."""
        await self.shop.logout(bearer(request))
        return Response.empty()

    async def me(self, request: Request) -> Response:
        """Show whose token this is."""
        user = await self.shop.user_of(bearer(request))
        return Response.json(user, headers={"Cache-Control": "no-store"})

    async def list_products(self, request: Request) -> Response:
        """List one page of products, and where the next one is (also in the Link header, RFC 8288)."""
        limit = number(request, "limit", default=20, least=1, most=100)
        after = number(request, "after", default=0, least=0, most=LAST_ID)
        products, last = await self.shop.list_products(after, limit)
        if last is None:
            return Response.json({"products": products, "next": None})
        url = request.url_for_path(f"/products?limit={limit}&after={last}")
        return Response.json({"products": products, "next": url}, headers={"Link": f'<{url}>; rel="next"'})

    async def add_product(self, request: Request) -> Response:
        """Add a product. Whoever may not is told so before anything else."""
        user = await self.shop.user_of(bearer(request))
        product = await self.shop.add_product(user, await request.json())
        location = request.url_for_path(f"/products/{product.id}")
        return Response.json(product, status=201, headers={"Location": location})

    async def product(self, request: Request, product_id: int) -> Response:
        """Show one product."""
        return Response.json(await self.shop.product(product_id))


def bearer(request: Request) -> str:
    """Return the token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1); raises NotLoggedIn."""
    found = re.fullmatch(r"(?i:bearer) +([\w.~+/-]+=*)", request.headers.get("Authorization") or "", re.ASCII)
    if found is None:
        raise NotLoggedIn("log in first, and send the token as Authorization: Bearer TOKEN")
    return found[1]


def number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """Return a whole number from the query, or raise 400."""
    text = request.query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise HTTPError(400, f"{name} must be a whole number from {least} to {most}", parameter=name)
    return int(text)


async def refused(request: Request, error: ShopError) -> Response:
    """Say what the shop says, with the status that fits."""
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    match error:
        case Invalid():
            more["errors"] = [
                {"pointer": f"#/{field}" if field else "#", "detail": rule} for field, rule in error.errors
            ]
        case NotLoggedIn():
            headers["WWW-Authenticate"] = 'Bearer realm="shop"'
        case Unavailable():
            headers["Retry-After"] = "1"
    return Response.problem(STATUS[type(error)], str(error), headers=headers, **more)
