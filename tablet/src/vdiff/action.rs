//! The actions of an operator: create, show, stop, resume, delete.
//!
//! Each is acknowledged only when it is committed. A stop is durable before the controller is told:
//! whatever happens in between, the diff stays stopped. A delete ends the controller first, so that
//! nothing is written under the deleted uuid.

use std::time::Duration;

use tablet_wire::tabletmanagerdata::{VDiffRequest, VDiffResponse};

use super::engine::OpenEngine;
use super::options::StoredOptions;
use super::schema::{DiffRow, Store};
use super::show;
use super::state::DiffState;
use super::status::ActionError;
use crate::seeded_bugs::SeededBug;

/// The action that changes nothing.
pub(super) const SHOW: &str = "show";

const UUID_MAX: usize = 64;
/// Of a seeded bug: how long an acknowledged stop is not written yet.
const WRITTEN_BEHIND: Duration = Duration::from_millis(200);

pub(super) async fn perform(
    engine: &OpenEngine,
    request: VDiffRequest,
) -> Result<VDiffResponse, ActionError> {
    match request.action.as_str() {
        "create" => create(engine, request).await,
        SHOW => show(engine, &request).await,
        "stop" => stop(engine, uuid(&request)?).await,
        "resume" => resume(engine, uuid(&request)?).await,
        "delete" => delete(engine, &request).await,
        other => Err(ActionError::Invalid(format!("action '{other}' is not supported"))),
    }
}

/// Vitess gives the uuid of stop and resume in its own field; the argument serves as well.
fn uuid(request: &VDiffRequest) -> Result<&str, ActionError> {
    let given = match request.vdiff_uuid.as_str() {
        "" => request.action_arg.as_str(),
        uuid => uuid,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if given.is_empty() || given.len() > UUID_MAX || !given.chars().all(plain) {
        return Err(ActionError::Invalid("a vdiff uuid is needed".to_owned()));
    }
    Ok(given)
}

fn answer(diff: &DiffRow) -> VDiffResponse {
    VDiffResponse { id: diff.id, vdiff_uuid: diff.uuid.clone(), output: None }
}

async fn create(engine: &OpenEngine, request: VDiffRequest) -> Result<VDiffResponse, ActionError> {
    let store = &engine.context.store;
    if request.vdiff_uuid.is_empty() || request.workflow.is_empty() {
        return Err(ActionError::Invalid("create needs a workflow and a vdiff uuid".to_owned()));
    }
    if !request.keyspace.is_empty() && request.keyspace != store.keyspace {
        let text = format!("this tablet serves the keyspace '{}'", store.keyspace);
        return Err(ActionError::Invalid(text));
    }
    let uuid = uuid(&request)?.to_owned();
    let _exclusive = engine.exclusive(&uuid).await?;
    let options = StoredOptions::from_wire(request.options);
    options.check().map_err(ActionError::Invalid)?;
    let state = if options.auto_start() { DiffState::Pending } else { DiffState::Stopped };
    let text = serde_json::to_string(&options)
        .map_err(|error| ActionError::Invalid(format!("the options are malformed: {error}")))?;
    if !store.create(&uuid, &request.workflow, state, &text).await? {
        return Err(ActionError::Exists(uuid));
    }
    let diff = existing(store, &uuid).await?;
    let response = answer(&diff);
    if state == DiffState::Pending {
        engine.spawn(diff);
    }
    Ok(response)
}

async fn existing(store: &Store, uuid: &str) -> Result<DiffRow, ActionError> {
    store.diff(uuid).await?.ok_or_else(|| ActionError::NotFound(uuid.to_owned()))
}

async fn show(engine: &OpenEngine, request: &VDiffRequest) -> Result<VDiffResponse, ActionError> {
    let store = &engine.context.store;
    let (output, uuid) = match request.action_arg.as_str() {
        "all" => (show::all(store, &request.workflow).await?, String::new()),
        "last" => (show::last(store, &request.workflow).await?, String::new()),
        _ => {
            let uuid = uuid(request)?;
            let output = show::one(store, uuid).await?;
            if output.rows.is_empty() {
                return Err(ActionError::NotFound(uuid.to_owned()));
            }
            (output, uuid.to_owned())
        }
    };
    Ok(VDiffResponse { id: 0, output: Some(output), vdiff_uuid: uuid })
}

async fn stop(engine: &OpenEngine, uuid: &str) -> Result<VDiffResponse, ActionError> {
    let store = &engine.context.store;
    let _exclusive = engine.exclusive(uuid).await?;
    let diff = existing(store, uuid).await?;
    let bugs = engine.context.deps.bugs;
    match DiffState::parse(&diff.state) {
        Some(DiffState::Stopped) => {}
        Some(DiffState::Completed) => {
            return Err(ActionError::State(format!("vdiff {uuid} is completed already")));
        }
        Some(DiffState::Started) if bugs.has(SeededBug::StopRefused) => {
            // Vitess stops what is in its memory (`handleStop`), and is wrong about what is there.
            return Err(ActionError::State(format!("vdiff {uuid} is not running")));
        }
        Some(_) | None if bugs.has(SeededBug::AckBeforeWrite) => {
            // vitessio/vitess#10830: a stop is a signal first, and written by somebody later.
            let (store, id) = (store.clone(), diff.id);
            tokio::spawn(async move {
                tokio::time::sleep(WRITTEN_BEHIND).await;
                if let Err(error) = store.stop(id).await {
                    tracing::warn!(%error, "a stop was not written");
                }
            });
        }
        Some(DiffState::Pending | DiffState::Started | DiffState::Error) | None => {
            store.stop(diff.id).await?;
        }
    }
    engine.end_controller(uuid).await;
    Ok(answer(&diff))
}

async fn resume(engine: &OpenEngine, uuid: &str) -> Result<VDiffResponse, ActionError> {
    let store = &engine.context.store;
    let _exclusive = engine.exclusive(uuid).await?;
    let diff = existing(store, uuid).await?;
    let state = DiffState::parse(&diff.state);
    match state {
        Some(DiffState::Pending | DiffState::Started) => {}
        Some(DiffState::Stopped | DiffState::Completed | DiffState::Error) => {
            // One that waits for its retry must not act on the row meanwhile.
            engine.end_controller(uuid).await;
            store.resume(diff.id, state == Some(DiffState::Completed)).await?;
        }
        None => {
            let text = format!("vdiff {uuid} has the unknown state '{}'", diff.state);
            return Err(ActionError::State(text));
        }
    }
    let diff = existing(store, uuid).await?;
    let response = answer(&diff);
    // vitessio/vitess#11742: the row says that it runs, and there is nobody who runs it.
    if !engine.context.deps.bugs.has(SeededBug::ResumeWithoutController) {
        engine.spawn(diff);
    }
    Ok(response)
}

async fn delete(engine: &OpenEngine, request: &VDiffRequest) -> Result<VDiffResponse, ActionError> {
    let store = &engine.context.store;
    if request.action_arg == "all" {
        if request.workflow.is_empty() {
            return Err(ActionError::Invalid("delete all needs a workflow".to_owned()));
        }
        for uuid in store.uuids(&request.workflow).await? {
            match delete_one(engine, &uuid).await {
                Ok(()) | Err(ActionError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        return Ok(VDiffResponse::default());
    }
    let uuid = match request.action_arg.as_str() {
        "" => uuid(request)?.to_owned(),
        argument => {
            uuid(&VDiffRequest { vdiff_uuid: argument.to_owned(), ..VDiffRequest::default() })?
                .to_owned()
        }
    };
    delete_one(engine, &uuid).await?;
    Ok(VDiffResponse { vdiff_uuid: uuid, ..VDiffResponse::default() })
}

async fn delete_one(engine: &OpenEngine, uuid: &str) -> Result<(), ActionError> {
    let store = &engine.context.store;
    let _exclusive = engine.exclusive(uuid).await?;
    let diff = existing(store, uuid).await?;
    engine.end_controller(uuid).await;
    let deleted = match engine.context.deps.bugs.has(SeededBug::OrphanedTablesOnDelete) {
        true => store.delete_alone(diff.id).await,
        false => store.delete(diff.id).await,
    };
    if deleted.is_err() && diff.is_to_run() {
        engine.spawn(diff); // It was not deleted, so its work goes on.
    }
    Ok(deleted?)
}
