"""The second provider that the tests log in at: django-oauth-toolkit on loopback. It ends with its standard input.

Its own metadata of OpenID Connect names neither the device grant nor the revocation, which both exist, and its access tokens
are no JWTs by default. A site adds both, as its documentation says; all else is the package's own.
"""

import json
import sys
import tempfile
import threading
import time
import uuid
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from jwcrypto import jwk, jwt
from oauthlib.common import generate_token

CLIENT, AUDIENCE, SECONDS = "heph", "urn:heph:hub", 3600

key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


folder = tempfile.TemporaryDirectory()
server = Server(("127.0.0.1", 0), Quiet)
issuer = f"http://127.0.0.1:{server.server_port}"


def access_token(request, refresh_token=False):
    if refresh_token:
        return generate_token()
    now = int(time.time())
    claims = {
        "iss": issuer, "sub": str(request.user.pk), "aud": AUDIENCE, "client_id": CLIENT,
        "iat": now, "exp": now + SECONDS, "jti": str(uuid.uuid4()),
    }
    signer = jwk.JWK.from_pem(key)
    token = jwt.JWT({"alg": "RS256", "typ": "at+jwt", "kid": signer.thumbprint()}, claims)
    token.make_signed_token(signer)
    return token.serialize()


settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.staticfiles",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": ["django.template.context_processors.request"],
            "loaders": [
                ("django.template.loaders.locmem.Loader", {
                    "registration/login.html": '<form method="post">{% csrf_token %}{{ form.as_p }}</form>',
                }),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    }],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder.name}/db", "OPTIONS": {"timeout": 60},
    }},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGIN_URL="/login",
    STATIC_URL="/static/",
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": issuer,
        "OIDC_RSA_PRIVATE_KEY": key.decode(),
        "SCOPES": {"openid": "who you are", "offline_access": "while you are away"},
        "OAUTH_DEVICE_VERIFICATION_URI": f"{issuer}/device/",
        "DEVICE_FLOW_INTERVAL": 1,
        "ACCESS_TOKEN_EXPIRE_SECONDS": SECONDS,
        "ACCESS_TOKEN_GENERATOR": access_token,
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.views import ConnectDiscoveryInfoView  # noqa: E402


def metadata(request):
    known = json.loads(ConnectDiscoveryInfoView.as_view()(request).content)
    known["device_authorization_endpoint"] = f"{issuer}/device-authorization/"
    known["revocation_endpoint"] = f"{issuer}/revoke_token/"
    return JsonResponse(known)


urlpatterns = [
    path(".well-known/openid-configuration", metadata),
    path("login", LoginView.as_view()),
    path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

call_command("migrate", verbosity=0)
for name in ["alice", "bob"]:
    User.objects.create_user(name, password="any")
Application.objects.create(
    client_id=CLIENT, name="heph", client_type="public", algorithm="RS256",
    authorization_grant_type="urn:ietf:params:oauth:grant-type:device_code",
)
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever, daemon=True).start()
print(issuer, flush=True)
sys.stdin.read()
