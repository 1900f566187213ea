//! Roles, and what they allow.

use std::fmt;
use std::str::FromStr;

use crate::ids::{CompetitionId, OrganisationId, TokenId, UserId};

/// What a person is entrusted with, in one competition or in the whole installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// 管理员: runs the service.
    Administrator,
    /// 主办方: makes and runs competitions.
    Organizer,
    /// 数据管理员: catalogues data and approves its use.
    Steward,
    /// 出域审核员: decides what may leave.
    Checker,
    /// 评委: marks entries.
    Judge,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Administrator, Self::Organizer, Self::Steward, Self::Checker, Self::Judge];

    /// The word it is stored as.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Organizer => "organizer",
            Self::Steward => "steward",
            Self::Checker => "checker",
            Self::Judge => "judge",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("no role; known are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What an API token may be used for; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading what its owner may read.
    Read,
    /// Submitting.
    Submit,
    /// What its owner may do as organizer, steward, checker or judge.
    Organize,
    /// What its owner may do as administrator.
    Admin,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Organize, Self::Admin];

    /// The word it is stored as.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Organize => "organize",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("no scope; known are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// One role held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Where it holds; `None`: in the whole installation. An organizer of the whole installation may
    /// make competitions, and runs those alone that are theirs by a grant of their own.
    pub competition: Option<CompetitionId>,
}

/// Somebody who has been recognised, by a browser session or an API token.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// The name they log in with.
    pub login: String,
    /// The name shown to others.
    pub name: String,
    /// Their organisation (单位).
    pub organisation: Option<OrganisationId>,
    /// The language they chose, as in `zh-CN`.
    pub locale: String,
    /// The roles they hold.
    pub grants: Vec<Grant>,
    /// How far this recognition reaches: a browser session reaches everywhere.
    pub scope: Scope,
    /// The API token they are recognised by; `None`: a browser session.
    pub token: Option<TokenId>,
}

impl Actor {
    /// Whether the role is held in the whole installation, whatever the scope.
    fn holds(&self, role: Role) -> bool {
        self.grants.iter().any(|grant| grant.role == role && grant.competition.is_none())
    }

    /// Whether the role is held in this very competition. Holding it in the whole installation is not
    /// enough: who may make competitions does not run everybody else's.
    fn holds_in(&self, role: Role, competition: CompetitionId) -> bool {
        self.grants.contains(&Grant { role, competition: Some(competition) })
    }

    /// May run the service: people, organisations, status.
    pub fn may_administer(&self) -> bool {
        self.scope >= Scope::Admin && self.holds(Role::Administrator)
    }

    /// May make a new competition.
    pub fn may_create_competitions(&self) -> bool {
        self.scope >= Scope::Organize && (self.holds(Role::Organizer) || self.holds(Role::Administrator))
    }

    /// May change the competition and see its submissions: its own organizers, and administrators.
    pub fn may_manage(&self, competition: CompetitionId) -> bool {
        self.scope >= Scope::Organize
            && (self.holds_in(Role::Organizer, competition) || self.holds(Role::Administrator))
    }

    /// May mark entries of the competition. Not an administrator by itself.
    pub fn may_judge(&self, competition: CompetitionId) -> bool {
        self.scope >= Scope::Organize && self.holds_in(Role::Judge, competition)
    }

    /// May catalogue data and approve its use. Not an administrator by itself.
    pub fn may_steward(&self) -> bool {
        self.scope >= Scope::Organize && self.holds(Role::Steward)
    }

    /// May decide requests to release. Not an administrator by itself.
    pub fn may_check(&self) -> bool {
        self.scope >= Scope::Organize && self.holds(Role::Checker)
    }

    /// May submit, where they take part.
    pub fn may_submit(&self) -> bool {
        self.scope >= Scope::Submit
    }

    /// Whether they are asked to judge any competition, for the navigation.
    pub fn judges_somewhere(&self) -> bool {
        self.grants.iter().any(|grant| grant.role == Role::Judge && grant.competition.is_some())
    }

    /// Whether any competition is theirs to manage, for the navigation.
    pub fn has_desk(&self) -> bool {
        self.grants.iter().any(|grant| matches!(grant.role, Role::Organizer | Role::Administrator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Entropy};

    fn actor(grants: Vec<Grant>, scope: Scope) -> Actor {
        Actor {
            user: Entropy.id(&Clock::system()),
            login: "a".into(),
            name: "A".into(),
            organisation: None,
            locale: "zh-CN".into(),
            grants,
            scope,
            token: None,
        }
    }

    #[test]
    fn a_role_in_one_competition_does_not_reach_another() {
        let (here, there): (CompetitionId, CompetitionId) =
            (Entropy.id(&Clock::system()), Entropy.id(&Clock::system()));
        let organizer = actor(vec![Grant { role: Role::Organizer, competition: Some(here) }], Scope::Admin);
        assert!(organizer.may_manage(here));
        assert!(!organizer.may_manage(there));
        assert!(!organizer.may_create_competitions());
        assert!(!organizer.may_judge(here));
    }

    #[test]
    fn a_narrow_token_does_not_carry_its_owners_rights() {
        let here = Entropy.id(&Clock::system());
        let all = Role::ALL.map(|role| Grant { role, competition: None }).to_vec();
        let reader = actor(all.clone(), Scope::Read);
        assert!(!reader.may_submit() && !reader.may_manage(here) && !reader.may_administer());
        let organizer = actor(all, Scope::Organize);
        assert!(organizer.may_manage(here) && organizer.may_check() && !organizer.may_administer());
    }

    #[test]
    fn who_may_make_competitions_does_not_run_those_of_others() {
        let (mine, other) = (Entropy.id(&Clock::system()), Entropy.id(&Clock::system()));
        let maker = Grant { role: Role::Organizer, competition: None };
        let judge = Grant { role: Role::Judge, competition: None };
        let own = Grant { role: Role::Organizer, competition: Some(mine) };
        let organizer = actor(vec![maker, judge, own], Scope::Admin);
        assert!(organizer.may_create_competitions() && organizer.may_manage(mine));
        assert!(!organizer.may_manage(other) && !organizer.may_judge(other));
    }

    #[test]
    fn an_administrator_neither_judges_nor_releases() {
        let here = Entropy.id(&Clock::system());
        let admin = actor(vec![Grant { role: Role::Administrator, competition: None }], Scope::Admin);
        assert!(admin.may_administer() && admin.may_manage(here));
        assert!(!admin.may_judge(here) && !admin.may_check() && !admin.may_steward());
    }

    #[test]
    fn words_are_read_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>(), Ok(role));
        }
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>(), Ok(scope));
        }
    }
}
