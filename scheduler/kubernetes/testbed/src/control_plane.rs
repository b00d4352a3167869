//! The control plane: etcd, API server, controllers and scheduler, each a process that ends with the tests.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use eos_testbed::{Dir, Port, Process, Spec};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use crate::pki::Pki;
use crate::programs::program;

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// A control plane. It ends when it is dropped, at the latest with the process.
#[derive(Debug)]
pub struct ControlPlane {
    api_server: Mutex<Option<Process>>,
    spec: Spec,
    admin: PathBuf,
    // In the order in which they are to end.
    _scheduler: Process,
    _controllers: Process,
    _etcd: Process,
    _ports: [Port; 3],
    dir: Dir,
}

impl ControlPlane {
    /// One for all tests of a process: starting it takes some seconds.
    pub async fn of_this_process() -> &'static Self {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts one and waits until pods can be made in it.
    ///
    /// # Panics
    /// If it does not come up, with the log of what does not.
    pub async fn start() -> Self {
        let dir = Dir::new("kubernetes");
        let ports = [Port::free(), Port::free(), Port::free()];
        let [api, etcd, peers] = ports.each_ref().map(Port::number);
        let pki = Pki::new(&dir);
        pki.server("apiserver");
        let admin = pki.user("admin", Some("system:masters"), api);
        let controllers = pki.user("system:kube-controller-manager", None, api);
        let scheduler = pki.user("system:kube-scheduler", None, api);

        let storage = start(&of_etcd(&dir, etcd, peers));
        let spec = of_api_server(&dir, &pki, api, etcd);
        let plane = Self {
            api_server: Mutex::new(Some(start(&spec))),
            spec,
            admin,
            _controllers: start(&of_controllers(&dir, &pki, &controllers)),
            _scheduler: start(&of_scheduler(&dir, &scheduler)),
            _etcd: storage,
            _ports: ports,
            dir,
        };
        plane.wait_until_ready().await;
        let accounts: Api<ServiceAccount> = Api::namespaced(plane.client().await, "default");
        wait("the service account of the namespace `default`", async || accounts.get("default").await).await;
        plane
    }

    /// The configuration of its administrator, as `KUBECONFIG` names it.
    pub fn kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// A connection of its administrator.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("our own configuration is sound")
    }

    /// A connection of a service account: what a pod has that runs as it.
    ///
    /// # Panics
    /// If there is no such account.
    pub async fn client_of(&self, account: &str, namespace: &str) -> Client {
        let mut config = self.config().await;
        config.auth_info =
            AuthInfo { token: Some(self.token_of(account, namespace).await.into()), ..AuthInfo::default() };
        Client::try_from(config).expect("our own configuration is sound")
    }

    /// A configuration of a service account, as `KUBECONFIG` names it, whose namespace is that of the account.
    ///
    /// # Panics
    /// If there is no such account.
    pub async fn kubeconfig_of(&self, account: &str, namespace: &str) -> PathBuf {
        let mut config = Kubeconfig::read_from(&self.admin).expect("our own file");
        let token = self.token_of(account, namespace).await;
        for user in &mut config.auth_infos {
            user.auth_info = Some(AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() });
        }
        for context in config.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
            context.namespace = Some(namespace.to_string());
        }
        // JSON is YAML.
        let text = serde_json::to_string(&config).expect("our own configuration is sound");
        self.dir.secret(&format!("{namespace}-{account}.conf"), text)
    }

    async fn token_of(&self, account: &str, namespace: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let made: TokenRequest = accounts
            .create_subresource("token", account, &PostParams::default(), &request)
            .await
            .unwrap_or_else(|error| panic!("no token for the service account {account}: {error}"));
        made.status.and_then(|status| status.token).expect("what was made has a token")
    }

    async fn config(&self) -> Config {
        let text = Kubeconfig::read_from(&self.admin).expect("our own file");
        let mut config =
            Config::from_custom_kubeconfig(text, &KubeConfigOptions::default()).await.expect("our own file");
        // Whoever is to try again says so.
        config.default_retry = false;
        config
    }

    /// A new namespace with a name that begins so.
    pub async fn namespace(&self, prefix: &str) -> String {
        let api: Api<Namespace> = Api::all(self.client().await);
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let made = api.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await;
        let name = made.expect("an administrator can").metadata.name.expect("what was made has a name");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, &name);
        wait("the service account of a new namespace", async || accounts.get("default").await).await;
        name
    }

    /// Ends the API server at once. Everything else goes on.
    pub fn stop_api_server(&self) {
        drop(self.api_server.lock().unwrap().take());
    }

    /// Starts the API server again, at the same port, and waits until it answers.
    pub async fn start_api_server(&self) {
        *self.api_server.lock().unwrap() = Some(start(&self.spec));
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&self) {
        let client = self.client().await;
        let ask = async || {
            let request = kube::core::request::Request::new("/readyz").list(&Default::default());
            client.request_text(request.expect("a plain request")).await
        };
        wait("the API server", ask).await;
    }
}

fn start(spec: &Spec) -> Process {
    Process::start(spec).unwrap_or_else(|failed| failed.give_up())
}

fn spec(dir: &Dir, place: &str, arguments: &[&str], port: Option<u16>) -> Spec {
    let program = program(place);
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Spec {
        program,
        args: arguments.iter().map(ToString::to_string).collect(),
        env: Vec::new(),
        dir: dir.path().to_owned(),
        log: dir.path().join(format!("{name}.log")),
        as_server: false,
        file_limit: None,
        // The port says it.
        ready: "",
        port,
    }
}

fn of_etcd(dir: &Dir, port: u16, peers: u16) -> Spec {
    let [port_url, peers_url] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
    let arguments = [
        "--name=testbed",
        &format!("--data-dir={}", dir.path().join("etcd").display()),
        &format!("--listen-client-urls={port_url}"),
        &format!("--advertise-client-urls={port_url}"),
        &format!("--listen-peer-urls={peers_url}"),
        &format!("--initial-advertise-peer-urls={peers_url}"),
        &format!("--initial-cluster=testbed={peers_url}"),
        // It is of no use after a failure of power.
        "--unsafe-no-fsync",
    ];
    spec(dir, "root/usr/bin/etcd", &arguments, Some(port))
}

fn of_api_server(dir: &Dir, pki: &Pki, port: u16, etcd: u16) -> Spec {
    let file = |name: &str| pki.file(name).display().to_string();
    let arguments = [
        &format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        &format!("--secure-port={port}"),
        &format!("--cert-dir={}", dir.path().display()),
        &format!("--tls-cert-file={}", file("apiserver.crt")),
        &format!("--tls-private-key-file={}", file("apiserver.key")),
        &format!("--client-ca-file={}", file("ca.crt")),
        &format!("--service-account-key-file={}", file("accounts.pub")),
        &format!("--service-account-signing-key-file={}", file("accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-cluster-ip-range=10.96.0.0/16",
        // There is no way from pods to it that somebody would have to know of.
        "--endpoint-reconciler-type=none",
    ];
    spec(dir, "bin/kube-apiserver", &arguments, Some(port))
}

fn of_controllers(dir: &Dir, pki: &Pki, config: &Path) -> Spec {
    let file = |name: &str| pki.file(name).display().to_string();
    let arguments = [
        &format!("--kubeconfig={}", config.display()),
        "--port=0",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        &format!("--service-account-private-key-file={}", file("accounts.key")),
        &format!("--root-ca-file={}", file("ca.crt")),
        "--controllers=*,-nodeipam",
        "--allocate-node-cidrs=false",
    ];
    spec(dir, "bin/kube-controller-manager", &arguments, None)
}

fn of_scheduler(dir: &Dir, config: &Path) -> Spec {
    let config = format!("--kubeconfig={}", config.display());
    spec(dir, "bin/kube-scheduler", &[&config, "--port=0", "--secure-port=0", "--leader-elect=false"], None)
}

/// Waits until something can be had.
async fn wait<T, E: std::fmt::Display>(what: &str, get: impl AsyncFn() -> Result<T, E>) -> T {
    let since = Instant::now();
    loop {
        match get().await {
            Ok(got) => return got,
            Err(error) => assert!(since.elapsed() < PATIENCE, "{what} is not there: {error}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
