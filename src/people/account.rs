//! Accounts: making, changing, disabling, listing them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::password::{self, Fault};
use super::record::{By, Deed};
use super::{Actor, Grant, People, PeopleError, Role, db, keys};
use crate::audit;
use crate::ids::{OrganisationId, SessionId, UserId};
use crate::store::{Connection, StoreError, Tx};

/// What somebody fills in to get an account.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NewUser {
    /// 3 to 32 of a–z, 0–9, `-`, `_`, `.`, beginning with a letter; taken in lower case.
    pub login: String,
    /// The name shown to others, 1 to 60 characters.
    pub name: String,
    /// An address to be reached at; only administrators and organizers see it.
    pub email: String,
    /// At least ten characters.
    pub password: String,
    /// The organisation's name; empty for none. An unknown one is made, unverified.
    #[serde(default)]
    pub organisation: String,
    /// The language, `zh-CN` or `en`.
    #[serde(default)]
    pub locale: String,
}

/// What a person may change about their own account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Profile {
    /// The name shown to others.
    pub name: String,
    /// An address to be reached at.
    pub email: String,
    /// The organisation's name, or empty.
    #[serde(default)]
    pub organisation: String,
    /// The language, `zh-CN` or `en`.
    #[serde(default)]
    pub locale: String,
}

/// How somebody is addressed.
#[derive(Clone, Debug)]
pub struct Addressed {
    /// The name shown to others.
    pub name: String,
    /// The language they chose, as in `zh-CN`.
    pub locale: String,
}

/// How a person is addressed; `None` for one who is not there or whose account is disabled.
///
/// # Errors
/// When the database fails.
pub async fn addressed(conn: &mut Connection, user: UserId) -> Result<Option<Addressed>, StoreError> {
    let known = db::user(conn, user).await?.filter(|known| known.disabled_at.is_none());
    Ok(known.map(|known| Addressed { name: known.name, locale: known.locale }))
}

/// Which users an administrator wants to see.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Part of login, name or address.
    pub search: String,
    /// Those who hold this role anywhere.
    pub role: Option<Role>,
    /// `active`, `disabled`, or empty for all.
    pub state: String,
}

/// One user in an administrator's list.
#[derive(Clone, Debug, Serialize)]
pub struct UserRow {
    /// Who.
    pub id: UserId,
    /// The name they log in with.
    pub login: String,
    /// The name shown to others.
    pub name: String,
    /// An address to be reached at.
    pub email: String,
    /// Their organisation's name.
    pub organisation: Option<String>,
    /// Whether an administrator verified the organisation.
    pub organisation_verified: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was disabled.
    pub disabled_at: Option<Timestamp>,
    /// Logins are refused until then, after failures.
    pub locked_until: Timestamp,
    /// When a session of theirs was last used.
    pub last_seen_at: Option<Timestamp>,
    /// The roles they hold.
    pub roles: Vec<Grant>,
}

/// One page of an administrator's list.
#[derive(Clone, Debug)]
pub struct AccountPage {
    /// The users on this page, the newest first.
    pub users: Vec<UserRow>,
    /// How many there are on all pages.
    pub total: i64,
}

/// What is put behind the name of a verified organisation that somebody says is theirs.
const CLAIMED: &str = "（自报）";

/// The languages the pages speak.
const LOCALES: [&str; 2] = ["zh-CN", "en"];

fn login_fault(login: &str) -> Option<Fault> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let code = if !(3..=32).contains(&login.len()) {
        "login-length"
    } else if !login.starts_with(|c: char| c.is_ascii_lowercase()) || !login.chars().all(allowed) {
        "login-letters"
    } else {
        return None;
    };
    Some(Fault::new("login", code))
}

fn name_fault(field: &'static str, name: &str) -> Option<Fault> {
    let code = match name.chars().count() {
        0 => "required",
        61.. => "too-long",
        _ if name.chars().any(invisible) => "control-characters",
        _ => return None,
    };
    Some(Fault::new(field, code))
}

/// Whether a character draws nothing or turns the text's direction, so that one name can pass for
/// another with it (Unicode Technical Report 36, section 3).
pub(crate) fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn email_fault(email: &str) -> Option<Fault> {
    let well_formed = email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || invisible(c))
        && email.split_once('@').is_some_and(|(mailbox, host)| {
            !mailbox.is_empty()
                && host.contains('.')
                && !host.contains('@')
                && !host.starts_with('.')
                && !host.ends_with('.')
        });
    if well_formed { None } else { Some(Fault::new("email", "email-form")) }
}

fn organisation_fault(name: &str) -> Option<Fault> {
    if name.is_empty() { None } else { name_fault("organisation", name) }
}

fn known_locale(locale: &str) -> &str {
    LOCALES.into_iter().find(|known| *known == locale).unwrap_or(LOCALES[0])
}

impl People {
    /// Makes an account for whoever asks.
    ///
    /// # Errors
    /// [`PeopleError::Faults`] naming each field that cannot be taken; a taken login is one.
    pub async fn register(&self, new: NewUser) -> Result<UserId, PeopleError> {
        self.add(None, new, &[]).await
    }

    /// Makes an account on an administrator's word, with roles in the whole installation.
    ///
    /// # Errors
    /// As [`People::register`]; [`PeopleError::Forbidden`] for others.
    pub async fn add_user(&self, by: By<'_>, new: NewUser, roles: &[Role]) -> Result<UserId, PeopleError> {
        by.administering("manage users")?;
        self.add(Some(by), new, roles).await
    }

    async fn add(&self, by: Option<By<'_>>, new: NewUser, roles: &[Role]) -> Result<UserId, PeopleError> {
        let login = new.login.trim().to_lowercase();
        let (name, email, organisation) = (new.name.trim(), new.email.trim(), new.organisation.trim());
        let faults: Vec<Fault> = [
            login_fault(&login),
            name_fault("name", name),
            email_fault(email),
            organisation_fault(organisation),
            password::fault(&new.password, &login, email),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !faults.is_empty() {
            return Err(PeopleError::Faults(faults));
        }
        let hash = self.gate.hash(new.password).await?;
        let id: UserId = self.entropy.id(&self.clock);
        let now = self.clock.now();

        let mut tx = self.db.begin().await?;
        if db::user_by_login(&mut tx, &login).await?.is_some() {
            return Err(PeopleError::Faults(vec![Fault::new("login", "login-taken")]));
        }
        let actor = by.map_or(audit::Actor::User(id), Into::into);
        let organisation = match by {
            Some(_) => self.organisation_called(&mut tx, organisation, actor).await?,
            None => self.named_organisation(&mut tx, organisation, actor, None).await?,
        };
        let (password, locale) = (&hash, known_locale(&new.locale));
        let user = db::FreshUser { id, login: &login, name, email, password, organisation, locale, at: now };
        db::insert_user(&mut tx, user).await?;
        let deed = match by {
            Some(by) => Deed::by(by, "user.added", "user", id),
            None => Deed::own(id, "user.registered"),
        };
        self.audited(&mut tx, deed.detail(json!({ "login": login, "roles": roles }))).await?;
        for role in roles {
            let by = by.unwrap_or(By::Machine).name();
            let grant = Grant { role: *role, competition: None };
            db::insert_grant(&mut tx, id, grant, (now, &by)).await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// What a person filled in about themselves.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn profile(&self, user: UserId) -> Result<Profile, PeopleError> {
        let mut connection = self.db.read().await?;
        let stored = db::user(&mut connection, user).await?.ok_or(PeopleError::Unknown("user"))?;
        let organisation = match stored.organisation {
            Some(id) => db::organisation(&mut connection, id).await?.map(|o| o.name).unwrap_or_default(),
            None => String::new(),
        };
        Ok(Profile { name: stored.name, email: stored.email, organisation, locale: stored.locale })
    }

    /// Changes a person's own profile.
    ///
    /// # Errors
    /// [`PeopleError::Faults`] naming each field that cannot be taken.
    pub async fn change_profile(&self, actor: &Actor, profile: &Profile) -> Result<(), PeopleError> {
        let (name, email) = (profile.name.trim(), profile.email.trim());
        let organisation = profile.organisation.trim();
        let faults: Vec<Fault> =
            [name_fault("name", name), email_fault(email), organisation_fault(organisation)]
                .into_iter()
                .flatten()
                .collect();
        if !faults.is_empty() {
            return Err(PeopleError::Faults(faults));
        }
        let mut tx = self.db.begin().await?;
        let own = actor.organisation;
        let organisation = self.named_organisation(&mut tx, organisation, actor.into(), own).await?;
        let locale = known_locale(&profile.locale);
        db::update_profile(&mut tx, actor.user, (name, email, locale), organisation).await?;
        if organisation != own {
            self.organisation_changed(&mut tx, actor.user, actor.into()).await?;
        }
        let detail = json!({ "organisation": organisation });
        self.audited(&mut tx, Deed::by(actor, "user.profile.changed", "user", actor.user).detail(detail))
            .await?;
        Ok(tx.commit().await?)
    }

    /// The organisation that somebody names as theirs, made when there is none. Naming a verified one
    /// does not make one a member of it: that stays a claim, an unverified organisation beside it,
    /// unless they belong to it already or an administrator says so.
    async fn named_organisation(
        &self,
        tx: &mut Tx,
        name: &str,
        by: audit::Actor,
        own: Option<OrganisationId>,
    ) -> Result<Option<OrganisationId>, PeopleError> {
        let mut name = name.to_owned();
        while let Some(known) = db::organisation_by_name(tx, &name).await? {
            if known.verified_at.is_none() || own == Some(known.id) {
                break;
            }
            name.push_str(CLAIMED);
        }
        self.organisation_called(tx, &name, by).await
    }

    /// Makes somebody a member of an organisation, verified or not, or (an empty name) of none.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others than administrators, [`PeopleError::Faults`] when the name
    /// cannot be taken.
    pub async fn set_organisation(&self, by: By<'_>, user: UserId, name: &str) -> Result<(), PeopleError> {
        by.administering("manage users")?;
        let name = name.trim();
        if let Some(fault) = organisation_fault(name) {
            return Err(PeopleError::Faults(vec![fault]));
        }
        let mut tx = self.db.begin().await?;
        let stored = db::user(&mut tx, user).await?.ok_or(PeopleError::Unknown("user"))?;
        let organisation = self.organisation_called(&mut tx, name, by.into()).await?;
        let profile = (stored.name.as_str(), stored.email.as_str(), stored.locale.as_str());
        db::update_profile(&mut tx, user, profile, organisation).await?;
        if organisation != stored.organisation {
            self.organisation_changed(&mut tx, user, by.into()).await?;
        }
        let detail = json!({ "organisation": organisation });
        self.audited(&mut tx, Deed::by(by, "user.organisation.set", "user", user).detail(detail)).await?;
        Ok(tx.commit().await?)
    }

    /// Does elsewhere what follows.
    async fn organisation_changed(
        &self,
        tx: &mut Tx,
        user: UserId,
        by: audit::Actor,
    ) -> Result<(), PeopleError> {
        match self.organisation_follows {
            Some(follow) => Ok(follow(tx, user, (self.clock.now(), by)).await?),
            None => Ok(()),
        }
    }

    /// The organisation of that name, made when there is none.
    async fn organisation_called(
        &self,
        tx: &mut Tx,
        name: &str,
        by: audit::Actor,
    ) -> Result<Option<OrganisationId>, PeopleError> {
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(known) = db::organisation_by_name(tx, name).await? {
            return Ok(Some(known.id));
        }
        let id: OrganisationId = self.entropy.id(&self.clock);
        db::insert_organisation(tx, id, name, self.clock.now()).await?;
        let deed = Deed::by(by, "organisation.added", "organisation", id).detail(json!({ "name": name }));
        self.audited(tx, deed).await?;
        Ok(Some(id))
    }

    /// Changes a person's own password, ends all their other sessions and revokes their tokens.
    ///
    /// # Errors
    /// [`PeopleError::Faults`] when the old password is wrong or the new one cannot be taken.
    pub async fn change_password(
        &self,
        actor: &Actor,
        keep: Option<SessionId>,
        (old, new): (String, String),
    ) -> Result<(), PeopleError> {
        let stored = {
            let mut connection = self.db.read().await?;
            db::user(&mut connection, actor.user).await?.ok_or(PeopleError::Unknown("user"))?
        };
        self.refuse_locked(stored.locked_until)?;
        if !self.gate.verify(old, Some(stored.password)).await? {
            self.count_failure(actor.user).await?;
            return Err(PeopleError::Faults(vec![Fault::new("old", "password-wrong")]));
        }
        if let Some(fault) = password::fault(&new, &stored.login, &stored.email) {
            return Err(PeopleError::Faults(vec![fault]));
        }
        let hash = self.gate.hash(new).await?;
        let mut tx = self.db.begin().await?;
        db::set_password(&mut tx, actor.user, &hash).await?;
        let now = self.clock.now();
        keys::end_sessions(&mut tx, actor.user, keep, now).await?;
        keys::end_tokens(&mut tx, actor.user, None, now).await?;
        self.audited(&mut tx, Deed::by(actor, "user.password.changed", "user", actor.user)).await?;
        Ok(tx.commit().await?)
    }

    /// Disables an account, which ends its sessions and tokens, or enables it again.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others than administrators, [`PeopleError::LastAdministrator`]
    /// when nobody would be left to run the service.
    pub async fn set_disabled(&self, by: By<'_>, user: UserId, disabled: bool) -> Result<(), PeopleError> {
        by.administering("manage users")?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        db::user(&mut tx, user).await?.ok_or(PeopleError::Unknown("user"))?;
        db::set_disabled(&mut tx, user, disabled.then_some(now)).await?;
        if disabled {
            keys::end_sessions(&mut tx, user, None, now).await?;
            keys::end_tokens(&mut tx, user, None, now).await?;
            self.refuse_without_administrator(&mut tx, user).await?;
        } else {
            db::clear_failures(&mut tx, user).await?;
        }
        let action = if disabled { "user.disabled" } else { "user.enabled" };
        self.audited(&mut tx, Deed::by(by, action, "user", user)).await?;
        Ok(tx.commit().await?)
    }

    /// Refuses a change to `user` after which no administrator could log in.
    pub(super) async fn refuse_without_administrator(
        &self,
        connection: &mut Connection,
        user: UserId,
    ) -> Result<(), PeopleError> {
        let was = db::grants(connection, user).await?;
        let concerned = was.contains(&Grant { role: Role::Administrator, competition: None });
        let left = db::holders(connection, None).await?;
        if concerned && !left.iter().any(|(id, _, _, role)| *role == Role::Administrator && *id != user) {
            return Err(PeopleError::LastAdministrator);
        }
        Ok(())
    }

    /// One page of users, the newest first; pages are counted from 0.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others than administrators.
    pub async fn users(
        &self,
        by: By<'_>,
        filter: &UserFilter,
        (page, size): (u32, u32),
    ) -> Result<AccountPage, PeopleError> {
        by.administering("see all users")?;
        let mut connection = self.db.read().await?;
        let total = db::count_users(&mut connection, filter).await?;
        let (size, page) = (i64::from(size), i64::from(page));
        let mut users = db::users(&mut connection, filter, (size, page * size)).await?;
        for user in &mut users {
            user.roles = db::grants(&mut connection, user.id).await?;
        }
        Ok(AccountPage { users, total })
    }

    /// The logins of some users; those who are gone are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn logins(&self, users: &[UserId]) -> Result<BTreeMap<UserId, String>, PeopleError> {
        let mut logins = BTreeMap::new();
        let mut connection = self.db.read().await?;
        for id in users {
            if !logins.contains_key(id)
                && let Some(user) = db::user(&mut connection, *id).await?
            {
                logins.insert(*id, user.login);
            }
        }
        Ok(logins)
    }

    /// One user, as an administrator sees them.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others, [`PeopleError::Unknown`] when there is none.
    pub async fn user_named(&self, by: By<'_>, login: &str) -> Result<UserRow, PeopleError> {
        by.administering("see all users")?;
        let mut connection = self.db.read().await?;
        let user = db::user_row(&mut connection, &login.trim().to_lowercase()).await?;
        let mut user = user.ok_or(PeopleError::Unknown("user"))?;
        user.roles = db::grants(&mut connection, user.id).await?;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_plain() {
        for good in ["alice", "a.b-c_9", "abc"] {
            assert_eq!(login_fault(good), None, "{good}");
        }
        for bad in ["ab", "9lives", "al ice", "Алиса", "alice<b>", &"a".repeat(33)] {
            assert!(login_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn names_cannot_hide_anything() {
        assert_eq!(name_fault("name", "爱丽丝 Liddell"), None);
        for bad in ["", "a\u{202e}b", "a\u{0}b", "a\u{200b}", &"长".repeat(61)] {
            assert!(name_fault("name", bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_have_a_mailbox_and_a_host() {
        assert_eq!(email_fault("a@b.cn"), None);
        for bad in ["", "a", "a@", "@b.cn", "a@b", "a b@c.cn", "a@b@c.cn", "a@.cn", "a@cn."] {
            assert!(email_fault(bad).is_some(), "{bad}");
        }
    }
}
