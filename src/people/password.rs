//! Passwords: what is asked of them, and hashing (argon2id, RFC 9106) behind a gate.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::PeopleError;

/// The shortest password, in characters.
pub(super) const SHORTEST: usize = 10;
/// The longest password, in bytes: what is longer only costs us.
const LONGEST: usize = 1024;
/// Hashes that may wait for their turn before further ones are turned away.
const QUEUE: usize = 64;

/// One thing wrong with one field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong: the key of a message, as in `password-short`.
    pub code: &'static str,
}

impl Fault {
    /// A fault of a field.
    pub(super) fn new(field: &'static str, code: &'static str) -> Self {
        Self { field, code }
    }
}

/// What is wrong with a password (NIST SP 800-63B section 5.1.1.2: length, not composition).
pub(super) fn fault(password: &str, login: &str, email: &str) -> Option<Fault> {
    let same = |other: &str| !other.is_empty() && password.eq_ignore_ascii_case(other);
    let mailbox = email.split('@').next().unwrap_or("");
    let mut letters = password.chars();
    let first = letters.next();
    let code = if password.chars().count() < SHORTEST {
        "password-short"
    } else if password.len() > LONGEST {
        "password-long"
    } else if same(login) || same(email) || same(mailbox) {
        "password-is-login"
    } else if letters.all(|letter| Some(letter) == first) {
        "password-one-letter"
    } else {
        return None;
    };
    Some(Fault::new("password", code))
}

/// Lets only so many hashes be computed at once: each takes 19 MiB and some 30 ms of a core, and a
/// flood of logins must not starve the rest.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Gate {
    /// As many at once as half the cores.
    pub(super) fn for_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Arc::new(Semaphore::new((cores / 2).max(1))), queue: Arc::new(Semaphore::new(QUEUE)) }
    }

    /// The hash of a password, in PHC form with its own salt.
    pub(super) async fn hash(&self, password: String) -> Result<String, PeopleError> {
        self.behind(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|e| PeopleError::Hash(e.to_string()))
        })
        .await
    }

    /// Whether the password is the one hashed. Without a hash (an unknown login) it works as long
    /// against a hash of nothing and says no.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PeopleError> {
        self.behind(move || {
            let known = hash.is_some();
            let text = hash.unwrap_or_else(|| NOBODY.to_owned());
            let parsed = PasswordHash::new(&text).map_err(|e| PeopleError::Hash(e.to_string()))?;
            let matches = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(known && matches)
        })
        .await
    }

    async fn behind<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PeopleError> + Send + 'static,
    ) -> Result<T, PeopleError> {
        let _place = self.queue.try_acquire().map_err(|_| PeopleError::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| PeopleError::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|e| PeopleError::Hash(e.to_string()))?
    }
}

/// A hash with the default parameters of a random password that nobody was told.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$6s0N7TnWQyVxwYvLr8oHcg$\
                      0m3bXnP4eJm1o6cQ1f1wUuB9c3u2V9b8k1q7x5YzR2A";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_and_composition_does_not() {
        assert_eq!(fault("correct horse battery", "alice", "a@b.c"), None);
        assert_eq!(fault("一二三四五六七八九十", "alice", ""), None);
        assert_eq!(fault("Sh0rt!Pw", "alice", "").map(|f| f.code), Some("password-short"));
        assert_eq!(fault("aliceliddell", "AliceLiddell", "").map(|f| f.code), Some("password-is-login"));
        assert_eq!(fault("wonderland", "alice", "wonderland@b.c").map(|f| f.code), Some("password-is-login"));
        assert_eq!(fault("aaaaaaaaaaaa", "alice", "").map(|f| f.code), Some("password-one-letter"));
        assert_eq!(fault(&"ab".repeat(600), "alice", "").map(|f| f.code), Some("password-long"));
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_only() {
        let gate = Gate::for_this_machine();
        let hash = gate.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(gate.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!gate.verify("correct horsf".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_login_costs_a_real_verification_and_fails() {
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!Gate::for_this_machine().verify("anything at all".into(), None).await.unwrap());
    }
}
