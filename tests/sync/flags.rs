//! What hephd makes of `--hub-url` and its companions.

use crate::support::home::Home;

#[test]
fn what_is_no_address_of_a_hub_is_wrong_usage() {
    let home = Home::new();
    for (flags, words) in [
        ("--hub-url h.example", "neither https:// nor http://"),
        ("--hub-url ''", "--hub-url '' is invalid"),
        (
            "--hub-url https://u:p@h.example",
            "a user name or a password",
        ),
        (
            "--hub-url http://h.example --oidc-issuer https://i --oidc-client-id c",
            "a token would travel over plain http",
        ),
        (
            "--hub-url https://h.example --oidc-issuer https://i",
            "--oidc-issuer requires --oidc-client-id",
        ),
        (
            "--hub-url https://h.example --oidc-client-id c",
            "--oidc-client-id requires --oidc-issuer",
        ),
    ] {
        home.hephd(flags).exits(2).complains(words);
    }
    assert!(!home.store().exists(), "nothing was made");
}
