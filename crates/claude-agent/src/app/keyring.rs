//! The system's keyring: the Secret Service on the session's bus, as GNOME Keyring and KWallet provide it.

use std::time::Duration;

use agent_config::Secret;

use super::{AppError, misconfigured};

/// What the entry's attribute `service` says; the account is its attribute `account`.
#[cfg(target_os = "linux")]
const SERVICE: &str = "claude-agent";

/// The key under this account. A locked keyring is asked to unlock, for which the desktop may ask a person.
///
/// # Errors
/// There is no keyring, it stays locked, it has no such entry or more than one, or it does not answer within `patience`.
#[cfg(target_os = "linux")]
pub(super) async fn look_up(account: &str, patience: Duration) -> Result<Secret, AppError> {
    let none = |why: String, advice: &str| {
        let why = format!("there is no API key: the keyring's entry {account} can't be read: {why}");
        Err(misconfigured(why, advice))
    };
    match tokio::time::timeout(patience, secret_service::find(account)).await {
        Ok(Ok(secret)) => Ok(secret),
        Ok(Err((why, advice))) => none(why, &advice),
        Err(_) => none(
            format!("it did not answer within {} s", patience.as_secs()),
            "unlock the keyring, by logging in to the desktop; without a desktop use api.api_key_file or api.api_key_command",
        ),
    }
}

/// There is none that this program knows to ask.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(super) async fn look_up(_: &str, _: Duration) -> Result<Secret, AppError> {
    Err(misconfigured(
        "api.api_key_keyring works with the Secret Service of Linux only",
        "on macOS use api.api_key_command = [\"/usr/bin/security\", \"find-generic-password\", \"-s\", \"claude-agent\", \"-w\"]",
    ))
}

#[cfg(target_os = "linux")]
mod secret_service {
    use std::collections::HashMap;

    use agent_config::{Secret, parse_api_key};
    use secret_service::{EncryptionType, Error, SecretService};
    use zeroize::Zeroizing;

    use super::SERVICE;

    const WITHOUT: &str = "without a desktop use api.api_key_file or api.api_key_command";

    /// The secret; or what is wrong and what to do.
    pub(super) async fn find(account: &str) -> Result<Secret, (String, String)> {
        // Encrypted on the bus, which other programs of the user may listen to.
        let service = SecretService::connect(EncryptionType::Dh).await.map_err(told)?;
        let attributes = HashMap::from([("service", SERVICE), ("account", account)]);
        let found = service.search_items(attributes).await.map_err(told)?;
        let (unlocked, locked) = (found.unlocked, found.locked);
        let item = match (&unlocked[..], &locked[..]) {
            ([item], []) => item,
            ([], [item]) => {
                item.unlock().await.map_err(told)?;
                item
            }
            ([], []) => return Err(("there is no such entry".to_owned(), put_in(account))),
            _ => {
                let why = format!("{} entries are called so", unlocked.len() + locked.len());
                return Err((why, "remove all but one".to_owned()));
            }
        };
        let bytes = Zeroizing::new(item.get_secret().await.map_err(told)?);
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| ("what it holds is not text".to_owned(), put_in(account)))?;
        parse_api_key(text).map_err(|why| (format!("what it holds {why}"), put_in(account)))
    }

    fn put_in(account: &str) -> String {
        format!(
            "put the key in: secret-tool store --label='Claude Agent' service {SERVICE} account {account}"
        )
    }

    fn told(error: Error) -> (String, String) {
        match error {
            Error::Locked | Error::Prompt | Error::PromptDisconnected => (
                "it is locked, and was not unlocked".to_owned(),
                format!("log in to the desktop or unlock the keyring; {WITHOUT}"),
            ),
            error => (
                format!("no keyring answers on the session's bus ({error})"),
                format!(
                    "start one (GNOME Keyring, KWallet) and see that DBUS_SESSION_BUS_ADDRESS leads to it; {WITHOUT}"
                ),
            ),
        }
    }
}
