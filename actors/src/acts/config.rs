//! Writing configuration: several documents at once, all of them or none.

use std::collections::BTreeMap;

use regatta_protocol::catalog::{
    CONFIG, Catalog, DocumentKey, Heads, HeldRevision, Revision, RevisionSet,
};
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::config::document::{ConfigDocument, FileSource, SecretTexts, Secrets};
use regatta_protocol::config::value::KeyPath;
use regatta_protocol::crypto::seal::{DataKey, SealedValue};
use regatta_protocol::ident::FleetId;
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::ledger::entry::{BodyRef, EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::limits::BODY_CARRIED_BYTES_MAX;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::{Capability, Grant};
use regatta_protocol::trust::roll::{Enrolled, Roll};
use tokio::sync::oneshot;

use super::{ActError, Saved, ask, write};
use crate::bodies::{BodiesMessage, kept};
use crate::config::SECRETS_DETAIL;
use crate::crew::Handles;
use crate::ledger::LedgerView;

/// A document as it is to be from now on.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its name.
    pub name: Name,
    /// For whom.
    pub select: Selector,
    /// What it says; none where it is to be no more.
    pub document: Option<ConfigDocument>,
    /// Secrets as they are to be, by their places; what is in [`ConfigDocument::secrets`] already is sealed.
    pub secrets: BTreeMap<KeyPath, String>,
    /// Who writes it, as others are shown him; what is deleted says no more than that.
    pub by: String,
    /// The version that is there, where the writer insists on it; zero for none.
    pub expect: Option<u32>,
}

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub name: Name,
    /// The version that was there; none where it is new.
    pub before: Option<u32>,
    /// The version that is there now; as before where nothing changes.
    pub version: u32,
    /// Whether it is deleted.
    pub deleted: bool,
    /// The devices that it is for, by their names.
    pub devices: Vec<String>,
    /// The devices that it was for before and is no more.
    pub leaves: Vec<String>,
}

impl Placed {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.before == Some(self.version)
    }
}

/// What is written of one document.
struct Sealed {
    put: Put,
    body: Option<(BodyRef, Bytes)>,
    /// What opens its secrets.
    key: Option<DataKey>,
}

/// Seals secrets and writes a document down as a body.
fn seal(fleet: &FleetId, mut put: Put, prng: &mut Prng) -> Result<Sealed, ActError> {
    let mut key = None;
    let Some(document) = put.document.as_mut() else {
        let words = ConfigDocument {
            by: put.by.clone(),
            ..ConfigDocument::default()
        };
        let body = Some(body_of(&words));
        return Ok(Sealed { put, body, key });
    };
    if !put.secrets.is_empty() {
        let (paths, texts) = std::mem::take(&mut put.secrets).into_iter().unzip();
        let texts = SecretTexts(texts);
        if !codec::fits(&texts) {
            let why = format!("config/{}: its secrets are more than 64 KiB", put.name);
            return Err(ActError::Invalid(why));
        }
        let (sealed, data_key) =
            SealedValue::seal(fleet, SECRETS_DETAIL, &codec::encode(&texts), prng);
        document.secrets = Some(Secrets { paths, sealed });
        key = Some(data_key);
    }
    check(&put.name, document)?;
    let body = Some(body_of(document));
    Ok(Sealed { put, body, key })
}

/// Whether a document keeps the rules, and has room in a body.
fn check(name: &Name, document: &ConfigDocument) -> Result<(), ActError> {
    let checked = document.check();
    checked.map_err(|error| ActError::Invalid(format!("config/{name}: {error}")))?;
    if codec::fits(document) {
        return Ok(());
    }
    let why =
        format!("config/{name}: more than 1 MiB of words; put what is large into files by content");
    Err(ActError::Invalid(why))
}

fn body_of(document: &ConfigDocument) -> (BodyRef, Bytes) {
    let bytes = Bytes::from(codec::encode(document));
    let body = BodyRef {
        hash: root_of(&bytes),
        bytes: bytes.len() as u64,
        carried: false,
    };
    (body, bytes)
}

/// Has a body kept on this manager.
///
/// # Errors
/// When there is no room for it, or the actor is gone.
pub async fn keep_body(handles: &Handles, body: Bytes) -> Result<BodyRef, ActError> {
    let named = BodyRef {
        hash: root_of(&body),
        bytes: body.len() as u64,
        carried: false,
    };
    let (answer, answered) = oneshot::channel();
    let message = BodiesMessage::Keep {
        hash: named.hash,
        body,
        answer,
    };
    let kept = ask(&handles.bodies, message, answered).await?;
    kept.map_err(|error| ActError::Invalid(error.to_string()))?;
    Ok(named)
}

/// Whether the contents that a document names are on this manager: devices would wait for others for ever.
async fn are_here(
    handles: &Handles,
    name: &Name,
    document: &ConfigDocument,
) -> Result<(), ActError> {
    for file in &document.files {
        let FileSource::Content { hash, bytes } = file.source else {
            continue;
        };
        let length = handles
            .store
            .read(move |reader| kept::length(reader, &hash));
        let length = length
            .await
            .map_err(|error| ActError::Invalid(error.to_string()))?;
        if length != Some(bytes) {
            let why = format!(
                "config/{name}: {}: this manager has no content {hash} of {bytes} bytes; apply the file \
                 itself, or do it on a manager that has it",
                file.path
            );
            return Err(ActError::Invalid(why));
        }
    }
    Ok(())
}

/// Says what writing these would do, and changes nothing.
///
/// # Errors
/// Why they would not be written.
pub async fn plan(handles: &Handles, puts: Vec<Put>) -> Result<Vec<Placed>, ActError> {
    let look = super::look(handles, move |view| {
        if !view.papers.is_manager() {
            return Err(ActError::NotAManager);
        }
        let mut placed = Vec::new();
        for put in &puts {
            if let Some(document) = &put.document {
                check(&put.name, document)?;
            }
            let words = put.document.as_ref().filter(|_| put.secrets.is_empty());
            let body = words.map(body_of).map(|(body, _)| body);
            placed.push(place(view, put, body)?.placed);
        }
        Ok(placed)
    });
    look.await?
}

/// Writes documents, all of them or none.
///
/// # Errors
/// Why nothing was written.
pub async fn apply(handles: &Handles, puts: Vec<Put>) -> Result<Saved<Vec<Placed>>, ActError> {
    let mut prng = Prng::from_seed((handles.entropy)());
    let fleet = super::look(handles, |view| view.replica.holdings().record().fleet()).await?;
    let sealed = puts.into_iter().map(|put| seal(&fleet, put, &mut prng));
    let mut sealed = sealed.collect::<Result<Vec<Sealed>, ActError>>()?;
    for sealed in &sealed {
        if let Some(document) = &sealed.put.document {
            are_here(handles, &sealed.put.name, document).await?;
        }
        if let Some((_, bytes)) = &sealed.body {
            keep_body(handles, bytes.clone()).await?;
        }
    }
    let keys: Vec<(Name, DataKey)> = sealed
        .iter_mut()
        .filter_map(|it| it.key.take().map(|key| (it.put.name.clone(), key)))
        .collect();
    let saved = write(handles, move |view| {
        let (mut placed, mut revisions) = (Vec::new(), Vec::new());
        for sealed in sealed {
            let body = sealed.body.as_ref().map(|(body, _)| *body);
            let found = place(view, &sealed.put, body)?;
            if !found.placed.is_unchanged() {
                revisions.push((found.revision, sealed.body));
            }
            placed.push(found.placed);
        }
        Ok((drafts(revisions)?, placed))
    })
    .await?;
    if let (false, Some(entry)) = (keys.is_empty(), saved.entries.first()) {
        super::secrets::hand_out(handles, *entry, keys).await?;
    }
    Ok(saved)
}

/// One revision stands in an entry of its own, whose body can ride along; several in one entry together.
fn drafts(
    mut revisions: Vec<(Revision, Option<(BodyRef, Bytes)>)>,
) -> Result<Vec<Draft>, ActError> {
    match revisions.len() {
        0 => Ok(Vec::new()),
        1 => {
            let (mut revision, body) = revisions.remove(0);
            revision.body = None;
            if !codec::fits(&revision) {
                return Err(too_long(&revision));
            }
            let payload = codec::encode(&revision);
            let mut draft = Draft::new(0, LedgerKind::Fleet, EntryKind::REVISION, payload);
            if let Some((body, bytes)) = body {
                draft.body = Some(body);
                draft.riding = (bytes.len() <= BODY_CARRIED_BYTES_MAX).then_some(bytes);
            }
            Ok(vec![draft])
        }
        count => {
            let set = RevisionSet(
                revisions
                    .into_iter()
                    .map(|(revision, _)| revision)
                    .collect(),
            );
            if !codec::fits(&set) {
                let why =
                    format!("{count} documents are more than one entry holds; apply fewer at once");
                return Err(ActError::Invalid(why));
            }
            let manifest = Bytes::from(codec::encode(&set));
            let mut draft = Draft::new(0, LedgerKind::Fleet, EntryKind::SET, Vec::new());
            draft.carried = Some(manifest);
            Ok(vec![draft])
        }
    }
}

fn too_long(revision: &Revision) -> ActError {
    let why = format!(
        "config/{}: its selector is too long for an entry; use a label for these devices",
        revision.name
    );
    ActError::Invalid(why)
}

struct Found {
    placed: Placed,
    revision: Revision,
}

fn winner<'a>(catalog: &'a Catalog, key: &DocumentKey) -> Option<(&'a Heads, &'a HeldRevision)> {
    let heads = catalog.heads(key)?;
    Some((heads, catalog.revision(&heads.winner)?))
}

/// What a document would replace, and whether its writer may.
fn place(view: &LedgerView<'_>, put: &Put, body: Option<BodyRef>) -> Result<Found, ActError> {
    let holdings = view.replica.holdings();
    let catalog = holdings.catalog();
    let key = DocumentKey {
        scope: None,
        kind: CONFIG,
        name: put.name.clone(),
    };
    let there = winner(catalog, &key);
    let live = there.filter(|(_, held)| !held.revision.deletes);
    let before = live.map(|(_, held)| held.revision.version);
    if let Some(expect) = put.expect
        && expect != before.unwrap_or(0)
    {
        let found = before.map_or_else(
            || "it is not there".to_owned(),
            |version| format!("version {version} is there"),
        );
        let why = format!(
            "config/{}: version {expect} was expected, and {found}; look at what changed: \
             `regatta history config {}`",
            put.name, put.name
        );
        return Err(ActError::Invalid(why));
    }
    let deleted = put.document.is_none();
    if deleted && before.is_none() {
        return Err(ActError::Unknown {
            what: "config",
            name: put.name.to_string(),
        });
    }
    let devices = Roll::of(holdings).devices();
    let selected = |select: &Selector| names(&devices, select);
    let (old, new) = (
        live.map(|(_, held)| selected(&held.revision.select)),
        match deleted {
            true => Vec::new(),
            false => selected(&put.select),
        },
    );
    let leaves: Vec<String> = old
        .into_iter()
        .flatten()
        .filter(|it| !new.contains(it))
        .collect();
    check_may_write(view, &devices, put, &leaves)?;
    let replaces = catalog.to_replace(&key);
    let versions = replaces.iter().filter_map(|id| catalog.revision(id));
    let last = versions.map(|held| held.revision.version).max();
    let unchanged = !deleted
        && live.is_some_and(|(heads, held)| {
            heads.conflicts.is_empty()
                && held.revision.select == put.select
                && body.is_some()
                && held.body == body
        });
    let version = match (unchanged, before) {
        (true, Some(version)) => version,
        _ => last.unwrap_or(0).saturating_add(1),
    };
    let document = put.document.as_ref();
    let revision = Revision {
        kind: CONFIG,
        name: put.name.clone(),
        replaces,
        select: put.select.clone(),
        deletes: deleted,
        version,
        staged: document.is_some_and(|document| document.rollout.is_some()),
        body,
    };
    let placed = Placed {
        name: put.name.clone(),
        before,
        version,
        deleted,
        devices: new,
        leaves,
    };
    Ok(Found { placed, revision })
}

fn names(devices: &[Enrolled], select: &Selector) -> Vec<String> {
    let live = devices.iter().filter(|it| it.is_live_device());
    let selected = live.filter(|it| select.matches(&it.seen_by_selectors()));
    let mut names: Vec<String> = selected.map(|it| it.name().to_string()).collect();
    names.sort();
    names
}

fn covers(grants: &[Grant], capability: Capability, labels: &Labels, user: Option<&Name>) -> bool {
    let mut of_kind = grants.iter().filter(|grant| grant.capability == capability);
    of_kind.any(|grant| {
        let runs = match (capability, user) {
            (Capability::ExecRun, Some(user)) => {
                grant.run_as.is_empty() || grant.run_as.contains(user)
            }
            (Capability::ExecRun, None) => grant.run_as.is_empty(),
            _ => true,
        };
        runs && grant.selector.matches(labels)
    })
}

/// Every device on which something changes has to be one that this manager may write for: the devices
/// would refuse it.
fn check_may_write(
    view: &LedgerView<'_>,
    devices: &[Enrolled],
    put: &Put,
    leaves: &[String],
) -> Result<(), ActError> {
    let grants = &view.papers.certificate.grants;
    let hooks = put.document.as_ref().map(|document| &document.hooks);
    let runs = hooks.filter(|hooks| {
        hooks.check.is_some() || hooks.healthy.is_some() || !hooks.on_change.is_empty()
    });
    let (mut unwritten, mut unrun) = (Vec::new(), Vec::new());
    for device in devices.iter().filter(|it| it.is_live_device()) {
        let labels = device.seen_by_selectors();
        let selects = put.document.is_some() && put.select.matches(&labels);
        let name = device.name().to_string();
        if !selects && !leaves.contains(&name) {
            continue;
        }
        if !covers(grants, Capability::ConfigWrite, &labels, None) {
            unwritten.push(name);
        } else if let Some(hooks) = runs
            && !covers(grants, Capability::ExecRun, &labels, hooks.run_as.as_ref())
        {
            unrun.push(name);
        }
    }
    // A selector that matches nobody yet is for those to come.
    if !view.papers.can(Capability::ConfigWrite) {
        let why = "this manager's certificate does not let it write configuration";
        return Err(ActError::Invalid(why.to_owned()));
    }
    let user = hooks.and_then(|hooks| hooks.run_as.as_ref());
    let user = user.map_or("the node's own user", Name::as_str);
    let why = match (unwritten.is_empty(), unrun.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => return Err(unwritten_of(&put.name, &unwritten)),
        (true, false) => format!(
            "config/{}: it has commands run as {user}, which this manager's certificate does not \
             allow on {}",
            put.name,
            listed(&unrun)
        ),
    };
    Err(ActError::Invalid(why))
}

/// Whether this manager may write for every device that a selector selects now.
///
/// # Errors
/// For which it may not.
pub fn check_covers(view: &LedgerView<'_>, name: &Name, select: &Selector) -> Result<(), ActError> {
    let grants = &view.papers.certificate.grants;
    let devices = Roll::of(view.replica.holdings()).devices();
    let uncovered = devices.iter().filter(|device| {
        let labels = device.seen_by_selectors();
        let selected = device.is_live_device() && select.matches(&labels);
        selected && !covers(grants, Capability::ConfigWrite, &labels, None)
    });
    let uncovered: Vec<String> = uncovered.map(|it| it.name().to_string()).collect();
    match uncovered.is_empty() {
        true => Ok(()),
        false => Err(unwritten_of(name, &uncovered)),
    }
}

fn unwritten_of(name: &Name, devices: &[String]) -> ActError {
    let devices = listed(devices);
    let why = format!(
        "config/{name}: this manager's certificate does not let it write configuration for {devices}"
    );
    ActError::Invalid(why)
}

/// Some names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    let more = names.len().saturating_sub(SHOWN);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
