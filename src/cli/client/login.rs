//! `shuyu login` and `shuyu logout`.

use std::io::BufRead as _;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;

use super::credentials::Credentials;
use super::dto::FreshToken;
use super::server::{Server, address};
use super::{Done, Failure, LoginArgs};

/// Makes a token with login and password, and keeps it.
pub(super) async fn log_in(args: LoginArgs) -> Done {
    let base = address(&args.server)?;
    let server = Server::at(&base, None)?;
    let password = password(&args)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = format!("shuyu on {host}").chars().take(60).collect();
    let body = json!({
        "login": args.login,
        "password": password,
        "name": name,
        "scope": args.scope,
        "days": args.days,
    });
    let response = server.send(server.request(Method::POST, "/api/v1/tokens").json(&body)).await?;
    let made: FreshToken = server.document(response).await?;
    let kept = Credentials { server: base, login: args.login, id: made.id, token: made.token };
    let file = kept.store()?;
    println!(
        "Logged in to {} as {}; the token ends on {}.",
        kept.server,
        kept.login,
        made.expires_at.strftime("%F")
    );
    eprintln!("It is kept in {}.", file.display());
    Ok(())
}

fn password(args: &LoginArgs) -> Done<String> {
    let terminal = console::Term::stderr();
    if args.password_stdin || !terminal.is_term() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("the password cannot be read")?;
        let password = line.trim_end_matches(['\n', '\r']).to_owned();
        if password.is_empty() {
            return Err(Failure::Usage("no password came on standard input".to_owned()));
        }
        return Ok(password);
    }
    eprint!("Password of {}: ", args.login);
    Ok(terminal.read_secure_line().context("the password cannot be read")?)
}

/// Revokes the token that is kept, and forgets it.
pub(super) async fn log_out() -> Done {
    let Some(kept) = Credentials::load()? else {
        println!("You are not logged in.");
        return Ok(());
    };
    let server = Server::at(&kept.server, Some(kept.token.clone()))?;
    let path = format!("/api/v1/tokens/{}", kept.id);
    let revoked = server.send(server.request(Method::DELETE, &path)).await;
    match revoked {
        // one that ended or was revoked is no reason to keep it
        Ok(_) | Err(Failure::Refused(_)) => {}
        Err(other) => return Err(other),
    }
    Credentials::forget()?;
    println!("Logged out of {}.", kept.server);
    Ok(())
}
