//! `callmark serve`, `users` and `export reviews`: the review page, who may use it, and what people said there.

use crate::cli::{
    AccessMode, ExportReviewsArguments, ReviewStoreArguments, RoleName, ServeArguments, UsersCommand,
};
use crate::exit::{Exit, UsageError, say};
use callmark_compare::config::CompareConfig;
use callmark_query::TrustLimits;
use callmark_web::{
    Access, Reviews, Role, ServeError, ServeOptions, Server, export_judgements, export_labels,
};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Folder of reviews, index and recordings in a dataset; names that begin with `_` are no tables.
const STATE: &str = "_review";
/// Variable with the URL of the database of reviews.
const DATABASE_URL: &str = "CALLMARK_DATABASE_URL";

pub(crate) fn serve(arguments: &ServeArguments) -> anyhow::Result<Exit> {
    let options = options(arguments)?;
    super::runtime()?.block_on(async {
        say(&format!("reading {}", arguments.dataset.display()));
        let server = Server::bind(options).await.map_err(|error| match error {
            ServeError::Options(_) | ServeError::Card(_) => UsageError(error.to_string()).into(),
            other => anyhow::Error::from(other),
        })?;
        let state = state(&arguments.store, &arguments.dataset);
        if let Err(error) = note_elsewhere(&arguments.dataset, &state) {
            let state = state.display();
            say(&format!("the dataset cannot be told where its reviews are ({error}): name --state {state} when you erase or export"));
        }
        let scheme = if arguments.https { "https, through the proxy, from" } else { "http" };
        let address = server.address()?;
        say(&format!("{} calls. Open {scheme}://{address}/ (Ctrl-C stops)", server.calls()));
        if arguments.access == AccessMode::Accounts && !server.has_users().await? {
            say(&format!("nobody can log in yet: callmark users add {} NAME --role admin", arguments.dataset.display()));
        }
        if !address.ip().is_loopback() && !arguments.https {
            say("passwords and calls travel in clear: put a proxy that speaks HTTPS in front, and say --https");
        }
        if arguments.audio.is_empty() {
            say("no recordings are played: give their folder with --audio DIR");
        }
        server.run(stopped()).await;
        Ok(Exit::Done)
    })
}

/// Ready when the process is told to stop.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let ctrl_c = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = ctrl_c => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => _ = ctrl_c.await,
    }
}

fn options(arguments: &ServeArguments) -> anyhow::Result<ServeOptions> {
    let compare = match &arguments.compare_config {
        None => CompareConfig::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| UsageError(format!("cannot read {}: {e}", path.display())))?;
            let config =
                CompareConfig::parse(&text).map_err(|e| UsageError(format!("{}: {e}", path.display())))?;
            config.validate().map_err(|e| UsageError(e.to_string()))?;
            config
        }
    };
    let access = match arguments.access {
        AccessMode::Machine => Access::ThisMachine,
        AccessMode::Accounts => Access::Accounts,
        AccessMode::Proxy => Access::Proxy {
            user_header: arguments.proxy_user_header.clone(),
            role_header: arguments.proxy_role_header.clone(),
        },
    };
    Ok(ServeOptions {
        dataset: arguments.dataset.clone(),
        listen: arguments.listen,
        state: state(&arguments.store, &arguments.dataset),
        database: database(&arguments.store)?,
        access,
        proxies: arguments.proxy_from.clone(),
        audio: arguments.audio.clone(),
        scorecards: arguments.scorecards.clone(),
        https: arguments.https,
        limits: TrustLimits::default(),
        compare,
    })
}

/// Names the folders outside the dataset in which a server has kept reviews of it, so that nobody forgets them.
const ELSEWHERE: &str = "kept-in";

/// Where reviews are kept: where it is said, else where a server has kept them so far, else in the dataset.
fn state(store: &ReviewStoreArguments, dataset: &Path) -> PathBuf {
    let own = dataset.join(STATE);
    match (&store.state, kept_elsewhere(dataset).as_slice()) {
        (Some(state), _) => state.clone(),
        (None, [elsewhere]) if !own.join("reviews.sqlite").exists() => elsewhere.clone(),
        (None, _) => own,
    }
}

fn kept_elsewhere(dataset: &Path) -> Vec<PathBuf> {
    let named = std::fs::read_to_string(dataset.join(STATE).join(ELSEWHERE)).unwrap_or_default();
    named.lines().map(PathBuf::from).filter(|folder| folder.is_dir()).collect()
}

/// Notes in the dataset that its reviews are kept in another folder.
fn note_elsewhere(dataset: &Path, state: &Path) -> std::io::Result<()> {
    let (own, state) = (dataset.join(STATE), state.canonicalize()?);
    let mut known = kept_elsewhere(dataset);
    if own.canonicalize().is_ok_and(|own| own == state) || known.contains(&state) {
        return Ok(());
    }
    known.push(state);
    std::fs::create_dir_all(&own)?;
    let lines: Vec<String> = known.iter().map(|folder| folder.display().to_string()).collect();
    std::fs::write(own.join(ELSEWHERE), lines.join("\n") + "\n")
}

/// The URL of the database: it may hold a password, so it comes from a file or the environment, never from a flag.
fn database(store: &ReviewStoreArguments) -> anyhow::Result<Option<String>> {
    let url = match &store.database_url_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| UsageError(format!("cannot read {}: {e}", path.display())))?;
            Some(text.trim().to_owned())
        }
        None => std::env::var(DATABASE_URL).ok().filter(|url| !url.is_empty()),
    };
    match &url {
        Some(url) if !url.starts_with("postgres://") && !url.starts_with("postgresql://") => {
            Err(UsageError("the database's URL has to begin with postgres://".to_owned()).into())
        }
        _ => Ok(url),
    }
}

/// Where reviews are kept: the folder, and the database's URL where there is one.
fn review_store(store: &ReviewStoreArguments, dataset: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    Ok((state(store, dataset), database(store)?))
}

/// All places in which reviews of the dataset are or were kept.
pub(super) fn review_stores(
    store: &ReviewStoreArguments,
    dataset: &Path,
) -> anyhow::Result<Vec<(PathBuf, Option<String>)>> {
    let (first, url) = review_store(store, dataset)?;
    let mut stores = vec![(first, url)];
    for folder in [dataset.join(STATE)].into_iter().chain(kept_elsewhere(dataset)) {
        let is_known =
            stores.iter().any(|(known, _)| known.canonicalize().ok() == folder.canonicalize().ok());
        if folder.join("reviews.sqlite").exists() && !is_known {
            stores.push((folder, None));
        }
    }
    Ok(stores)
}

async fn reviews(store: &ReviewStoreArguments, dataset: &Path, must_exist: bool) -> anyhow::Result<Reviews> {
    if !callmark_store::is_dataset(dataset) {
        return Err(UsageError(format!("{} is no dataset", dataset.display())).into());
    }
    let (folder, url) = review_store(store, dataset)?;
    if must_exist && url.is_none() && !folder.is_dir() {
        return Err(UsageError(format!(
            "there are no reviews in {}: nobody has opened the review page on it",
            folder.display()
        ))
        .into());
    }
    Ok(Reviews::open(url.as_deref(), &folder).await?)
}

pub(crate) fn users(command: UsersCommand) -> anyhow::Result<Exit> {
    super::runtime()?.block_on(async {
        match command {
            UsersCommand::Add { dataset, name, role, store } => {
                let reviews = reviews(&store, &dataset, false).await?;
                reviews.add_user(&name, role_of(role), &password()?).await.map_err(usage)?;
                say(&format!("{name} may log in now, as {}", role_of(role).as_str()));
            }
            UsersCommand::Password { dataset, name, store } => {
                reviews(&store, &dataset, false)
                    .await?
                    .set_password(&name, &password()?)
                    .await
                    .map_err(usage)?;
                say("the password is changed, and all sessions of this user are ended");
            }
            UsersCommand::Role { dataset, name, role, store } => {
                let reviews = reviews(&store, &dataset, false).await?;
                reviews.set_role(&name, role_of(role)).await.map_err(usage)?;
                say(&format!("{name} is {} now", role_of(role).as_str()));
                warn_without_admin(&reviews, &dataset).await?;
            }
            UsersCommand::Close { dataset, name, store } => {
                let reviews = reviews(&store, &dataset, false).await?;
                reviews.set_active(&name, false).await.map_err(usage)?;
                say(&format!("{name} may not log in any more; users open lets them again"));
                warn_without_admin(&reviews, &dataset).await?;
            }
            UsersCommand::Open { dataset, name, store } => {
                let reviews = reviews(&store, &dataset, false).await?;
                reviews.set_active(&name, true).await.map_err(usage)?;
                say(&format!("{name} may log in again"));
            }
            UsersCommand::List { dataset, store } => {
                let users = reviews(&store, &dataset, false).await?.users().await?;
                let mut out = std::io::stdout().lock();
                for user in users {
                    let closed = if user.active { "" } else { "\tclosed" };
                    writeln!(out, "{}\t{}{closed}", user.name, user.role.as_str())?;
                }
            }
        }
        Ok(Exit::Done)
    })
}

/// Who sits at this machine can always make an admin, so the last one may go; but not unseen.
async fn warn_without_admin(reviews: &Reviews, dataset: &Path) -> anyhow::Result<()> {
    if !reviews.users().await?.iter().any(|user| user.active && user.role == Role::Admin) {
        say(&format!(
            "no admin is left: callmark users role {} NAME admin, or users open, makes one",
            dataset.display()
        ));
    }
    Ok(())
}

/// What somebody asked for wrongly is their error, not the program's.
fn usage(error: callmark_web::ReviewError) -> anyhow::Error {
    match error {
        callmark_web::ReviewError::Database(_) => error.into(),
        other => UsageError(other.to_string()).into(),
    }
}

fn role_of(name: RoleName) -> Role {
    match name {
        RoleName::Viewer => Role::Viewer,
        RoleName::Reviewer => Role::Reviewer,
        RoleName::Lead => Role::Lead,
        RoleName::Admin => Role::Admin,
    }
}

/// One line from stdin; on a terminal it does not show.
fn password() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        say("Password (it does not show):");
        let before = rustix::termios::tcgetattr(&stdin)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &hidden)?;
        let read = stdin.lock().read_line(&mut line);
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &before)?;
        read?;
    } else {
        stdin.lock().read_line(&mut line)?;
    }
    let password = line.trim_end_matches(['\n', '\r']).to_owned();
    if password.is_empty() {
        return Err(UsageError("no password came: give it as one line on stdin".to_owned()).into());
    }
    Ok(password)
}

pub(crate) fn export_reviews(arguments: &ExportReviewsArguments) -> anyhow::Result<Exit> {
    super::runtime()?.block_on(async {
        let reviews = reviews(&arguments.store, &arguments.dataset, true).await?;
        let calls = export_labels(&reviews, &arguments.out).await?;
        say(&format!("{calls} reviewed calls written to {}", arguments.out.display()));
        if let Some(path) = &arguments.judgements {
            let judgements = export_judgements(&reviews, path).await?;
            say(&format!("{judgements} judgements written to {}", path.display()));
        }
        Ok(Exit::Done)
    })
}
