//! The floor: nginx, as Debian's package sets it up and as somebody would who tunes it for this very load. Nothing is checked
//! or counted by either.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::cpu::cpu_of;
use super::load::Target;

const START_DEADLINE: Duration = Duration::from_secs(10);

/// How nginx is set up.
#[derive(Clone, Copy)]
pub(crate) enum Setup {
    /// The packaged configuration with a `proxy_pass` and without buffering of answers, which would hold up events. Its access
    /// log is off: ours writes no line for a request either.
    Plain,
    /// One worker, connections to the upstream kept open, room for whole prompts in memory.
    Tuned,
}

pub(crate) struct Nginx {
    child: Child,
    pub(crate) target: Target,
}

impl Nginx {
    pub(crate) fn start(folder: &Path, upstream: SocketAddr, setup: Setup) -> Self {
        // Nothing else on a machine that measures takes the port in between.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = folder.join(format!("nginx-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(&folder, port, upstream, setup)).unwrap();
        let child = Command::new("nginx")
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx, which the figures are compared with, can't be started ({error}); install nginx-light"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                begun.elapsed() < START_DEADLINE,
                "nginx does not listen on {address}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            target: Target {
                address,
                key: "unchecked".to_owned(),
            },
        }
    }

    /// Of master and workers together.
    pub(crate) fn cpu(&self) -> Duration {
        let master = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children
            .split_whitespace()
            .map(|pid| cpu_of(pid.parse().unwrap()))
            .sum::<Duration>()
            + cpu_of(master)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is asked, not when it is killed.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

fn configuration(folder: &Path, port: u16, upstream: SocketAddr, setup: Setup) -> String {
    let folder = folder.display();
    // What both need to run from a folder of their own. Only a superuser's nginx looks at `user`.
    let own = format!(
        "daemon off;
user root;
pid {folder}/nginx.pid;
"
    );
    let paths = format!(
        "
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;"
    );
    match setup {
        Setup::Plain => format!(
            "{own}worker_processes auto;
events {{ worker_connections 768; }}
http {{{paths}
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    gzip on;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{upstream};
            proxy_buffering off;
        }}
    }}
}}
"
        ),
        Setup::Tuned => format!(
            "{own}worker_processes 1;
events {{ worker_connections 4096; }}
http {{{paths}
    client_body_buffer_size 512k;
    client_max_body_size 32m;
    tcp_nodelay on;
    keepalive_requests 10000000;
    upstream api {{ server {upstream}; keepalive 128; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
        ),
    }
}
