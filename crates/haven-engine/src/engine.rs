//! The engine as the rooms above use it: one handle, cheap to clone.

use crate::audit;
use crate::caller::Caller;
use crate::clock;
use crate::config::EngineConfig;
use crate::container::command::{Command, Live};
use crate::container::{changes, stats, task, top};
use crate::drafts;
use crate::event::{EventLog, EventObject};
use crate::exec;
use crate::log::LogReader;
use crate::name_choice;
use crate::network::end::LinkEnd;
use crate::network::exchange::{self, ImportView};
use crate::network::links::AddLink;
use crate::network::networks::CreateNetwork;
use crate::network::{attempts, exposure, links, networks, observing};
use crate::record::{ContainerRecord, Stage};
use crate::recording::{Draft, changed};
use crate::recovery;
use crate::registry::Handle;
use crate::request::{
    AttachContainer, Change, ContainerSize, CreateContainer, CreateVolume, CreatedContainer, ExecSpec,
    LogQuery, ProcessTable, Pruned, RemoveContainer, StatsSample, StopContainer, UpdateContainer,
    WaitCondition,
};
use crate::shared::Shared;
use crate::stream::{Attached, Waiter};
use crate::view::{
    AttemptView, ContainerView, ExecView, LinkView, NetworkView, ObservationView, VolumeView, WantedView,
};
use haven_image::{Image, Store};
use haven_network::exposure::Facts;
use haven_spec::{
    ContainerId, ContainerName, ContainerState, ExecId, Failure, ImageId, NetworkAttachment, Outcome,
    PortMapping, Signal, VolumeName,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use task::blocking;

/// Source of an archive; read where it holds up no other task.
pub type ByteSource = Box<dyn std::io::Read + Send>;
/// Where an archive goes; written where it holds up no other task.
pub type ByteSink = Box<dyn std::io::Write + Send>;

/// The engine. Everything it answers is a snapshot; everything it does is done when the call returns.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    installation: Installation,
    pub(crate) caller: Arc<Caller>,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Installation {
    id: String,
    since_ns: i64,
}

/// Facts about the engine and its host.
#[derive(Debug, Clone)]
pub struct EngineInfo {
    /// Of this installation, made when its data directory was.
    pub id: String,
    pub containers: usize,
    pub running: usize,
    pub paused: usize,
    pub stopped: usize,
    pub images: usize,
    pub data_root: std::path::PathBuf,
    pub cgroup_v2: bool,
    pub controllers: Vec<String>,
    pub landlock: bool,
}

/// 32 random bytes from the kernel.
pub(crate) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        // Only interruption by a signal can fail such a short request; it is tried again.
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

impl Engine {
    /// Opens the data directory, starts or finds the spawner, and takes up every container that is still there.
    pub async fn open(config: EngineConfig) -> Outcome<Self> {
        let shared = blocking(move || recovery::open(config)).await?;
        recovery::take_up(&shared).await?;
        crate::names::server::start(&shared).await;
        drop(tokio::spawn(links::expire(Arc::downgrade(&shared))));
        drop(tokio::spawn(audit::send_checkpoints(Arc::downgrade(&shared))));
        drop(tokio::spawn(audit::keep_bounded(Arc::downgrade(&shared))));
        drop(tokio::spawn(observing::expire(Arc::downgrade(&shared))));
        let worker = Arc::clone(&shared);
        let installation = blocking(move || {
            worker.records.fact("installation", || Installation {
                id: ContainerId::from_bytes(&random()).to_string(),
                since_ns: clock::now_ns(),
            })
        })
        .await?;
        Ok(Self { shared, installation, caller: Arc::new(Caller::own("daemon")) })
    }

    /// Ends the containers' tasks and leaves the containers running.
    pub async fn leave(&self) {
        for handle in self.shared.registry.handles() {
            let (done, left) = tokio::sync::oneshot::channel();
            if handle.mailbox.send(Command::Leave(done)).await.is_ok() {
                drop(left.await);
            }
        }
        let audit = Arc::clone(&self.shared.audit);
        drop(tokio::task::spawn_blocking(move || audit.write_pending()).await);
    }

    // --- reading

    /// Newest first.
    pub fn containers(&self) -> Vec<Arc<ContainerView>> {
        self.shared.registry.views()
    }

    /// By name, id or unique beginning of an id.
    pub fn find(&self, wanted: &str) -> Outcome<Arc<ContainerView>> {
        self.shared.registry.find(wanted).map(|handle| handle.view())
    }

    pub fn events(&self) -> &EventLog {
        &self.shared.events
    }

    pub fn images(&self) -> &Arc<Store> {
        &self.shared.images
    }

    pub fn config(&self) -> &EngineConfig {
        &self.shared.config
    }

    pub fn info(&self) -> EngineInfo {
        let views = self.containers();
        let count =
            |wanted: fn(&ContainerState) -> bool| views.iter().filter(|view| wanted(&view.state)).count();
        let running = count(|state| {
            matches!(state, ContainerState::Running { .. } | ContainerState::Restarting { .. })
        });
        let paused = count(|state| matches!(state, ContainerState::Paused { .. }));
        EngineInfo {
            id: self.installation.id.clone(),
            containers: views.len(),
            running,
            paused,
            stopped: views.len() - running - paused,
            images: self.shared.images.images().len(),
            data_root: self.shared.config.data_root.clone(),
            cgroup_v2: self.shared.cgroups.version() == haven_runtime::cgroup::Version::Unified,
            controllers: self.shared.cgroups.controllers().map(str::to_owned).collect(),
            landlock: haven_runtime::landlock::is_available(),
        }
    }

    // --- containers

    pub async fn create(&self, request: CreateContainer) -> Outcome<CreatedContainer> {
        crate::create::create(&self.shared, &self.caller, request).await
    }

    fn handle(&self, id: &ContainerId) -> Outcome<Handle> {
        self.shared.registry.get(id)
    }

    pub async fn start(&self, id: &ContainerId) -> Outcome<()> {
        self.handle(id)?.ask(Command::Start).await
    }

    pub async fn stop(&self, id: &ContainerId, how: StopContainer) -> Outcome<()> {
        self.handle(id)?.ask(|reply| Command::Stop(how, reply)).await
    }

    pub async fn restart(&self, id: &ContainerId, how: StopContainer) -> Outcome<()> {
        self.handle(id)?.ask(|reply| Command::Restart(how, reply)).await
    }

    pub async fn kill(&self, id: &ContainerId, signal: Signal) -> Outcome<()> {
        self.handle(id)?.ask(|reply| Command::Kill(signal, reply)).await
    }

    pub async fn pause(&self, id: &ContainerId) -> Outcome<()> {
        self.handle(id)?.ask(Command::Pause).await
    }

    pub async fn unpause(&self, id: &ContainerId) -> Outcome<()> {
        self.handle(id)?.ask(Command::Unpause).await
    }

    pub async fn rename(&self, id: &ContainerId, name: ContainerName) -> Outcome<()> {
        let handle = self.handle(id)?;
        if handle.view().name == name {
            return Err(Failure::invalid("Renaming a container with the same name as its current name"));
        }
        self.shared.registry.reserve_name(&name, id)?;
        let (view, new) = (handle.view(), name.clone());
        let draft = move |caller: &Caller| drafts::renamed(caller, &view, &new);
        let outcome = self.recorded(draft, handle.ask(|reply| Command::Rename(name.clone(), reply))).await;
        if outcome.is_err() {
            self.shared.registry.release_name(&name);
        }
        outcome
    }

    /// Answers warnings.
    pub async fn update(&self, id: &ContainerId, change: UpdateContainer) -> Outcome<Vec<String>> {
        self.handle(id)?.ask(|reply| Command::Update(Box::new(change), reply)).await?;
        Ok(Vec::new())
    }

    pub async fn remove(&self, id: &ContainerId, how: RemoveContainer) -> Outcome<()> {
        let handle = self.handle(id)?;
        let view = handle.view();
        handle.ask(|reply| Command::Remove(how, reply)).await?;
        self.note_soon(drafts::container_removed(&self.caller, &view));
        Ok(())
    }

    /// Registered when this returns; the end may then come any time.
    pub async fn wait(&self, id: &ContainerId, condition: WaitCondition) -> Outcome<Waiter> {
        self.handle(id)?.ask(|reply| Command::Wait(condition, reply)).await
    }

    pub async fn attach(&self, id: &ContainerId, what: AttachContainer) -> Outcome<Attached> {
        self.handle(id)?.ask(|reply| Command::Attach(what, reply)).await
    }

    pub async fn resize(&self, id: &ContainerId, rows: u16, columns: u16) -> Outcome<()> {
        self.handle(id)?.ask(|reply| Command::Resize { rows, columns, reply }).await
    }

    pub async fn logs(&self, id: &ContainerId, query: LogQuery) -> Outcome<LogReader> {
        let handle = self.handle(id)?;
        if handle.view().spec.log.driver == "none" {
            return Err(Failure::unsupported("configured logging driver does not support reading"));
        }
        Ok(LogReader::open(self.shared.log_path(id), query, handle.view.clone()))
    }

    /// Everything zero for a container that doesn't run.
    pub async fn stats(&self, id: &ContainerId) -> Outcome<StatsSample> {
        let handle = self.handle(id)?;
        let Ok(live) = handle.ask(Command::Live).await else {
            return Ok(StatsSample { read_at_ns: clock::now_ns(), ..StatsSample::default() });
        };
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        blocking(move || stats::sample(&shared, &id, &live)).await
    }

    pub async fn top(&self, id: &ContainerId, ps_arguments: &str) -> Outcome<ProcessTable> {
        let handle = self.handle(id)?;
        let live = handle.ask(Command::Live).await?;
        let record = self.record(id).await?;
        let base = record.id_slot.map_or(0, |slot| {
            self.shared.config.id_base + slot * crate::container::confinement::ID_RANGE_SIZE
        });
        let arguments = ps_arguments.to_owned();
        blocking(move || top::table(&live, &arguments, base)).await
    }

    pub async fn changes(&self, id: &ContainerId) -> Outcome<Vec<Change>> {
        let record = self.record(id).await?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let upper = shared.config.container_data(&record.id).join("upper");
            changes::list(&upper, &crate::container::start::lowers(&shared, &record)?)
        })
        .await
    }

    pub async fn container_size(&self, id: &ContainerId) -> Outcome<ContainerSize> {
        let record = self.record(id).await?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut size = changes::written_bytes(&shared.config.container_data(&record.id).join("upper"))?;
            size.rootfs_bytes =
                size.rw_bytes + shared.images.get(&record.image_id).map_or(0, |image| image.size_bytes);
            Ok(size)
        })
        .await
    }

    /// Removes every container that isn't alive and that `keep` doesn't want kept.
    pub async fn prune_containers(&self, keep: impl Fn(&ContainerView) -> bool) -> Outcome<Pruned> {
        let mut pruned = Pruned::default();
        for view in self.containers() {
            let idle = matches!(
                view.state,
                ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Dead { .. }
            );
            if !idle || keep(&view) {
                continue;
            }
            let size = self.container_size(&view.id).await.unwrap_or_default();
            // One that was started or removed meanwhile stays out of the list.
            if self.remove(&view.id, RemoveContainer::default()).await.is_ok() {
                pruned.removed.push(view.id.to_string());
                pruned.reclaimed_bytes += size.rw_bytes;
            }
        }
        self.tell(EventObject::Container, "prune", "", &pruned);
        Ok(pruned)
    }

    pub(crate) async fn record(&self, id: &ContainerId) -> Outcome<ContainerRecord> {
        self.handle(id)?.ask(Command::Record).await
    }

    pub(crate) async fn live(&self, id: &ContainerId) -> Option<Arc<Live>> {
        self.handle(id).ok()?.ask(Command::Live).await.ok()
    }

    fn tell(&self, object: EventObject, action: &str, id: &str, pruned: &Pruned) {
        let attributes = BTreeMap::from([("reclaimed".to_owned(), pruned.reclaimed_bytes.to_string())]);
        self.shared.tell(object, action, id, attributes);
    }

    // --- execs

    pub async fn exec_create(&self, id: &ContainerId, spec: ExecSpec) -> Outcome<ExecId> {
        let handle = self.handle(id)?;
        let view = handle.view();
        let words = spec.command.join(" ");
        let exec = self.shared.execs.create(&view, spec, &random())?;
        let mut attributes = view.spec.labels.clone();
        attributes.insert("image".into(), view.spec.image.clone());
        attributes.insert("name".into(), view.name.to_string());
        attributes.insert("execID".into(), exec.to_string());
        self.shared.tell(EventObject::Container, &format!("exec_create: {words}"), id.as_str(), attributes);
        Ok(exec)
    }

    /// `None` when nobody attaches.
    pub async fn exec_start(&self, id: &ExecId, attach: bool) -> Outcome<Option<Attached>> {
        exec::start(&self.shared, id, attach).await
    }

    pub fn exec_view(&self, wanted: &str) -> Outcome<ExecView> {
        self.shared.execs.view(wanted)
    }

    /// Returns when the exec has ended, or nobody knows it any more.
    pub async fn exec_ended(&self, id: &ExecId) {
        self.shared.execs.ended(id).await;
    }

    pub async fn exec_resize(&self, id: &ExecId, rows: u16, columns: u16) -> Outcome<()> {
        exec::resize(&self.shared, id, rows, columns).await
    }

    // --- volumes

    fn volume_view(&self, (record, users): (crate::record::VolumeRecord, Vec<ContainerId>)) -> VolumeView {
        VolumeView {
            mountpoint: self.shared.volumes.content(&record.name),
            name: record.name,
            created_at_ns: record.created_at_ns,
            labels: record.labels,
            options: record.options,
            anonymous: record.anonymous,
            users,
        }
    }

    pub fn volumes(&self) -> Vec<VolumeView> {
        self.shared.volumes.all().into_iter().map(|found| self.volume_view(found)).collect()
    }

    pub fn volume(&self, name: &str) -> Outcome<VolumeView> {
        self.shared.volumes.find(name).map(|found| self.volume_view(found))
    }

    pub async fn create_volume(&self, request: CreateVolume) -> Outcome<VolumeView> {
        let shared = Arc::clone(&self.shared);
        let anonymous = request.name.is_none();
        let (record, made) = blocking(move || shared.volumes.create(request, anonymous, &random())).await?;
        if made {
            self.tell_volume("create", &record.name);
        }
        self.volume(record.name.as_str())
    }

    pub async fn remove_volume(&self, name: &str, force: bool) -> Outcome<()> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        if let Some(name) = blocking(move || shared.volumes.remove(&name, force)).await? {
            self.tell_volume("destroy", &name);
        }
        Ok(())
    }

    fn tell_volume(&self, action: &str, name: &VolumeName) {
        let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.shared.tell(EventObject::Volume, action, name.as_str(), attributes);
    }

    /// Volumes nobody mentions: anonymous ones, or with `all` named ones too.
    pub async fn prune_volumes(&self, all: bool, keep: impl Fn(&VolumeView) -> bool) -> Outcome<Pruned> {
        let mut pruned = Pruned::default();
        for view in self.volumes() {
            if !view.users.is_empty() || (!all && !view.anonymous) || keep(&view) {
                continue;
            }
            let size = self.volume_size(&view.name).await.unwrap_or(0);
            if self.remove_volume(view.name.as_str(), false).await.is_ok() {
                pruned.removed.push(view.name.to_string());
                pruned.reclaimed_bytes += size;
            }
        }
        self.tell(EventObject::Volume, "prune", "", &pruned);
        Ok(pruned)
    }

    pub async fn volume_size(&self, name: &VolumeName) -> Outcome<u64> {
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        blocking(move || shared.volumes.size_bytes(&name)).await
    }

    // --- networks

    pub fn networks(&self) -> Vec<NetworkView> {
        networks::list(&self.shared)
    }

    pub fn network(&self, wanted: &str) -> Outcome<NetworkView> {
        networks::find(&self.shared, wanted)
    }

    pub async fn create_network(&self, wish: CreateNetwork) -> Outcome<NetworkView> {
        let (shared, caller) = (Arc::clone(&self.shared), Arc::clone(&self.caller));
        let record = blocking(move || {
            let draft = drafts::network_created(&caller, &wish);
            changed(&shared, &caller, draft, || networks::create(&shared, wish))
        })
        .await?;
        self.network(record.name.as_str())
    }

    pub async fn remove_network(&self, wanted: &str) -> Outcome<()> {
        let (shared, caller, wanted) =
            (Arc::clone(&self.shared), Arc::clone(&self.caller), wanted.to_owned());
        blocking(move || {
            let draft = drafts::network_removed(&shared, &caller, &wanted);
            changed(&shared, &caller, draft, || networks::remove(&shared, &wanted))
        })
        .await
    }

    /// Networks that no container mentions; their names.
    pub async fn prune_networks(
        &self,
        keep: impl Fn(&NetworkView) -> bool + Send + 'static,
    ) -> Outcome<Vec<String>> {
        let (shared, caller) = (Arc::clone(&self.shared), Arc::clone(&self.caller));
        blocking(move || {
            let draft = Draft::new(&caller, "network.prune");
            changed(&shared, &caller, draft, || Ok(networks::prune(&shared, keep)))
        })
        .await
    }

    /// Puts a container on one more network, at once if it runs.
    pub async fn connect(&self, wanted: &str, id: &ContainerId, wish: NetworkAttachment) -> Outcome<()> {
        let network = self.addressed(wanted)?;
        let handle = self.handle(id)?;
        let (view, name) = (handle.view(), network.name.clone());
        let draft = move |caller: &Caller| drafts::membership(caller, &view, name.as_str(), true);
        self.recorded(draft, handle.ask(|reply| Command::Connect(network, Box::new(wish), reply))).await
    }

    /// Takes a container off a network, at once if it runs.
    pub async fn disconnect(&self, wanted: &str, id: &ContainerId) -> Outcome<()> {
        let name = self.addressed(wanted)?.name.to_string();
        let handle = self.handle(id)?;
        let (view, network) = (handle.view(), name.clone());
        let draft = move |caller: &Caller| drafts::membership(caller, &view, &network, false);
        self.recorded(draft, handle.ask(|reply| Command::Disconnect(name, reply))).await
    }

    fn addressed(&self, wanted: &str) -> Outcome<Arc<networks::NetworkRecord>> {
        if matches!(wanted, "host" | "none") {
            return Err(Failure::new(
                haven_spec::Kind::Forbidden,
                format!("container cannot be connected to or disconnected from the network `{wanted}`"),
            )
            .hint(format!("it is chosen when a container is made: run --network {wanted}")));
        }
        self.shared.networks.find(wanted)
    }

    /// Publishes further ports of a container, at once if it runs.
    pub async fn publish(&self, id: &ContainerId, ports: Vec<PortMapping>) -> Outcome<()> {
        let handle = self.handle(id)?;
        let (view, wanted, shared) = (handle.view(), ports.clone(), Arc::clone(&self.shared));
        let draft = move |caller: &Caller| {
            let draft = drafts::published(caller, &view, &wanted, "port.publish");
            draft.planned(move |facts| exposure::published(&shared, facts, &view, &wanted))
        };
        self.recorded(draft, handle.ask(|reply| Command::Publish(ports, reply))).await
    }

    /// Takes published ports of a container back; one without a host port stands for all of that container's port.
    pub async fn unpublish(&self, id: &ContainerId, ports: Vec<PortMapping>) -> Outcome<()> {
        let handle = self.handle(id)?;
        let (view, fewer, shared) = (handle.view(), ports.clone(), Arc::clone(&self.shared));
        let draft = move |caller: &Caller| {
            let draft = drafts::published(caller, &view, &fewer, "port.unpublish");
            draft.planned(move |facts| exposure::unpublished(&shared, facts, &view, &fewer))
        };
        self.recorded(draft, handle.ask(|reply| Command::Unpublish(ports, reply))).await
    }

    // --- links

    /// Makes links, all of them or none.
    pub async fn add_links(&self, wishes: Vec<AddLink>) -> Outcome<Vec<LinkView>> {
        let (shared, caller) = (Arc::clone(&self.shared), Arc::clone(&self.caller));
        blocking(move || {
            let draft = drafts::links_added(&shared, &caller, &wishes);
            let planned = wishes.clone();
            let plan = |facts: &mut Facts| drop(links::plan(&shared, facts, &planned));
            changed(&shared, &caller, draft.planned(plan), || links::add(&shared, wishes))
        })
        .await
    }

    pub async fn remove_link(&self, wanted: &str) -> Outcome<()> {
        let (shared, caller, id) =
            (Arc::clone(&self.shared), Arc::clone(&self.caller), links::parse_id(wanted)?);
        blocking(move || {
            let draft = drafts::link_removed(&shared, &caller, id, "link.remove")?;
            changed(&shared, &caller, draft, || links::remove(&shared, &[id], "destroy"))
        })
        .await
    }

    /// In the order of their numbers, those of open networks first.
    pub async fn links(&self) -> Outcome<Vec<LinkView>> {
        let shared = Arc::clone(&self.shared);
        blocking(move || links::list(&shared)).await
    }

    pub async fn link(&self, wanted: &str) -> Outcome<LinkView> {
        let (shared, wanted) = (Arc::clone(&self.shared), wanted.to_owned());
        blocking(move || links::find(&shared, &wanted)).await
    }

    /// The links that a Compose file would mean, read as `links`, `open` or `observe`; nothing is changed.
    pub fn read_compose(&self, text: &str, reading: &str, project: &str) -> Outcome<ImportView> {
        exchange::from_compose(text, reading, project)
    }

    /// The links that Kubernetes NetworkPolicies would mean; nothing is changed.
    pub fn read_policies(&self, text: &str) -> Outcome<ImportView> {
        exchange::from_kubernetes(&self.shared, text)
    }

    /// Everything declared as Kubernetes NetworkPolicies, and notes on what they don't say.
    pub async fn policies(&self, namespace: &str) -> Outcome<(String, Vec<String>)> {
        let (shared, namespace) = (Arc::clone(&self.shared), namespace.to_owned());
        blocking(move || exchange::to_kubernetes(&shared, &namespace)).await
    }

    /// The link that permits it; `None` when it is denied.
    pub async fn permitting(&self, from: &str, to: &str, traffic: &str) -> Outcome<Option<LinkView>> {
        let shared = Arc::clone(&self.shared);
        let (from, to, traffic) = (from.to_owned(), to.to_owned(), traffic.to_owned());
        blocking(move || links::permitting(&shared, &from, &to, &traffic)).await
    }

    /// Lets somebody do for a while what no link permits, and counts it.
    pub async fn observe(&self, who: &str, span_ns: i64, by: Option<u32>) -> Outcome<ObservationView> {
        let (shared, caller, who) = (Arc::clone(&self.shared), Arc::clone(&self.caller), who.to_owned());
        blocking(move || {
            let draft = drafts::observed(&caller, &who, "observe.begin", span_ns);
            let plan = |facts: &mut Facts| {
                if let Ok(end) = LinkEnd::resolve(&shared, &who) {
                    let at = observing::list(&shared).len();
                    exposure::observed(&shared, facts, &end.to_string(), at, true);
                }
            };
            changed(&shared, &caller, draft.planned(plan), || observing::begin(&shared, &who, span_ns, by))
        })
        .await
    }

    pub async fn stop_observing(&self, who: &str) -> Outcome<()> {
        let (shared, caller, who) = (Arc::clone(&self.shared), Arc::clone(&self.caller), who.to_owned());
        blocking(move || {
            let draft = drafts::observed(&caller, &who, "observe.end", 0);
            changed(&shared, &caller, draft, || observing::end(&shared, &who))
        })
        .await
    }

    pub fn observations(&self) -> Vec<ObservationView> {
        observing::list(&self.shared)
    }

    /// Names that were looked up in vain since the daemon began, the most wanted first.
    pub fn wanted(&self) -> Vec<WantedView> {
        self.shared.directory.wanted()
    }

    /// What was tried in vain in the last day, the most tried first.
    pub async fn denied(&self) -> Outcome<Vec<AttemptView>> {
        let shared = Arc::clone(&self.shared);
        blocking(move || attempts::list(&shared)).await
    }

    /// One sentence on the network for `doctor`; a failure when packets can't be decided on.
    pub fn network_status(&self) -> Outcome<haven_network::Status> {
        self.shared.network.status()
    }

    /// Containers made from this image.
    pub fn image_users(&self, id: &ImageId) -> Vec<ContainerId> {
        self.containers().iter().filter(|view| view.image_id == *id).map(|view| view.id.clone()).collect()
    }
}

/// What `create` made before the first record; taken back when a later step fails.
pub(crate) fn new_record(
    image: &Image,
    id: ContainerId,
    name: ContainerName,
    spec: haven_spec::ContainerSpec,
) -> ContainerRecord {
    ContainerRecord {
        id,
        name,
        created_at_ns: clock::now_ns(),
        spec,
        image_id: image.id.clone(),
        layers: image.layers.clone(),
        id_slot: None,
        stage: Stage::Created,
        stopped_by_user: false,
        restart_count: 0,
        anonymous_volumes: Vec::new(),
    }
}

/// A name nobody has.
pub(crate) fn choose_name(shared: &Shared, id: &ContainerId) -> Outcome<ContainerName> {
    const ATTEMPTS: u32 = 32;
    for attempt in 0..ATTEMPTS {
        let mut seed = [0; 8];
        seed.copy_from_slice(&random()[..8]);
        let name = ContainerName::parse(&name_choice::choose(u64::from_ne_bytes(seed), attempt / 4))?;
        if shared.registry.reserve_name(&name, id).is_ok() {
            return Ok(name);
        }
    }
    Err(Failure::internal("cannot find a free name").hint("give one with --name"))
}
