"""Sign-in with an identity provider: any issuer of OpenID Connect that the settings name."""
