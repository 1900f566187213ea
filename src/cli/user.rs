//! `shuyu user`: the first administrator, reset links, a list.

use std::collections::BTreeSet;
use std::io::Read as _;

use anyhow::Context as _;

use super::{Common, block_on, database, world};
use crate::config::Settings;
use crate::people::{By, NewUser, People, PeopleError, Role, SessionTerms, UserFilter};

/// What `shuyu user` takes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a user; prints a random password unless one is given on standard input
    Add(Add),
    /// Print a one-time link with which a user sets a new password
    ResetLink {
        /// The name they log in with
        login: String,
    },
    /// List users: login, name, roles, state
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What `shuyu user add` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The name to log in with
    login: String,
    /// The name shown to others [default: the login]
    #[arg(long)]
    name: Option<String>,
    /// An address to be reached at
    #[arg(long)]
    email: String,
    /// A role in the whole installation; may be given several times
    #[arg(long, value_name = "ROLE")]
    role: Vec<Role>,
    /// The organisation's name
    #[arg(long, default_value = "")]
    organisation: String,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    password_stdin: bool,
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let settings = common.settings(&[])?;
    block_on(async {
        let people = people(&settings).await?;
        match command {
            Command::Add(args) => add(&people, args).await,
            Command::ResetLink { login } => {
                let user = people.user_named(By::Machine, &login).await?;
                let secret = people.make_reset(By::Machine, user.id).await?;
                println!("{}/reset/{secret}", settings.public_url);
                Ok(())
            }
            Command::List { json } => list(&people, json).await,
        }
    })
}

async fn people(settings: &Settings) -> anyhow::Result<People> {
    let (clock, entropy) = world();
    Ok(People::new(database(settings).await?, clock, entropy, SessionTerms::default()))
}

async fn add(people: &People, args: Add) -> anyhow::Result<()> {
    let (_, entropy) = world();
    let password = if args.password_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the password cannot be read")?;
        text.trim_end_matches(['\n', '\r']).to_owned()
    } else {
        entropy.secret()[..20].to_owned()
    };
    let new = NewUser {
        name: args.name.unwrap_or_else(|| args.login.clone()),
        login: args.login.clone(),
        email: args.email,
        password: password.clone(),
        organisation: args.organisation,
        locale: String::new(),
    };
    match people.add_user(By::Machine, new, &args.role).await {
        Ok(_) if args.password_stdin => println!("{} was added", args.login),
        Ok(_) => println!("{} was added with the password {password}", args.login),
        Err(PeopleError::Faults(faults)) => {
            let words = crate::web::words::Words::load()?;
            let line = |fault: &crate::people::Fault| {
                let said = words.say_or_key(
                    crate::web::lang::Lang::En,
                    &format!("fault-{}", fault.code),
                    &crate::web::words::Args::default(),
                );
                format!("{}: {said}", fault.field)
            };
            let lines: Vec<_> = faults.iter().map(line).collect();
            anyhow::bail!("the user cannot be added: {}", lines.join(", "));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn list(people: &People, json: bool) -> anyhow::Result<()> {
    let page = people.users(By::Machine, &UserFilter::default(), (0, u32::MAX)).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&page.users)?);
        return Ok(());
    }
    for user in page.users {
        // the competitions somebody runs are in the JSON; here each role stands once
        let roles: BTreeSet<_> = user.roles.iter().map(|grant| grant.role.to_string()).collect();
        let roles: Vec<_> = roles.into_iter().collect();
        let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
        println!("{}\t{}\t{}\t{state}", user.login, user.name, roles.join(","));
    }
    Ok(())
}
