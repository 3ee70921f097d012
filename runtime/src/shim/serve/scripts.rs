//! Scripts without a terminal: started once by name, heard by whoever listens.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::{Connection, For, JOBS_MAX, Role, Shim, Source};
use crate::shim::enter::{self, Output, Program, Stdio};
use crate::shim::exec::Job;
use crate::shim::protocol::{Exec, FromShim, NAMED_MAX};
use crate::sys::memfd::sealed_bytes;

impl Shim {
    pub(super) fn job_named(&self, name: &str) -> Option<u32> {
        self.jobs.iter().find(|(_, job)| job.exec.name.as_deref() == Some(name)).map(|(&id, _)| id)
    }

    pub(super) fn start_job(&mut self, connection: u32) -> Result<(), String> {
        let Some(Connection { role, .. }) = self.connections.get_mut(&connection) else { return Ok(()) };
        let Role::ExecHead { exec, script } = std::mem::replace(role, Role::New) else { return Ok(()) };
        // The second of the same name hears the first.
        if let Some(job) = exec.name.as_ref().and_then(|name| self.job_named(name)) {
            self.listen(connection, job);
            return Ok(());
        }
        if self.jobs.len() >= JOBS_MAX {
            return Err(format!("{JOBS_MAX} scripts are kept already; restart the sandbox"));
        }
        let prepared = self.program(exec.clone(), &script).map_err(|error| error.to_string())?;
        let (program, pipes) = prepared;
        let id = self.new_id();
        self.jobs.insert(id, Job::new(exec, pipes, Instant::now()));
        self.listen(connection, id);
        self.send_envoy(For::Job(id), program);
        Ok(())
    }

    pub(super) fn program(&self, exec: Exec, script: &[u8]) -> io::Result<(Program, Vec<(u8, OwnedFd)>)> {
        // Only where it is asked for: a descriptor that nobody opened puzzles who looks at /proc/self/fd.
        let wanted = exec.script_is_stdin || exec.args.iter().any(|arg| arg.contains("{script}"));
        let script = wanted.then(|| sealed_bytes(script)).transpose()?;
        let script_path = format!("/dev/fd/{}", enter::SCRIPT_FD);
        let args = exec.args.iter().map(|arg| arg.replace("{script}", &script_path)).collect();
        let mut env = self.sandbox.plan.env.clone();
        env.retain(|(key, _)| !exec.env.iter().any(|(other, _)| other == key));
        env.extend(exec.env);
        let mut pipes = Vec::new();
        let mut output = |stream: u8, path: Option<String>| -> io::Result<Output> {
            if let Some(path) = path {
                return Ok(Output::File(path));
            }
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&read, true)?;
            pipes.push((stream, read));
            Ok(Output::Pipe(write))
        };
        let stdout = output(1, exec.stdout_path)?;
        let stderr = output(2, exec.stderr_path)?;
        let stdio = Stdio::Pipes { stdout, stderr };
        let script_is_stdin = exec.script_is_stdin;
        let program = Program { args, env, cwd: exec.cwd, group: exec.group, script, script_is_stdin, stdio };
        Ok((program, pipes))
    }

    pub(super) fn listen(&mut self, connection: u32, job: u32) {
        let replay = self.jobs.get(&job).map(Job::replay).unwrap_or_default();
        let over = self.jobs.get(&job).is_none_or(|job| !job.running());
        self.set_role(connection, Role::Listener { job });
        for message in replay {
            self.answer(connection, &message);
        }
        if over && let Some(connection) = self.connections.get_mut(&connection) {
            connection.closing = true;
        }
    }

    pub(super) fn answer(&mut self, connection: u32, message: &FromShim) {
        if let Some(connection) = self.connections.get_mut(&connection)
            && connection.frames.send(&message.encode()).is_err()
        {
            connection.closing = true;
        }
    }

    pub(super) fn listeners(&self, job: u32) -> Vec<u32> {
        let listens = |connection: &Connection| matches!(connection.role, Role::Listener { job: of } if of == job);
        self.connections.iter().filter(|(_, connection)| listens(connection)).map(|(&id, _)| id).collect()
    }

    pub(super) fn pipe_ready(&mut self, id: u32, stream: u8, buffer: &mut [u8]) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some((_, pipe)) = job.pipes.iter().find(|(of, _)| *of == stream) else { return };
        let read = rustix::io::read(pipe, &mut buffer[..]);
        match read {
            Ok(0) | Err(rustix::io::Errno::IO) => {
                job.pipes.retain(|(of, _)| *of != stream);
                self.unwatch(Source::Pipe(id, stream));
            }
            Ok(length) => {
                if let Some(message) = job.output(stream, &buffer[..length]) {
                    self.listeners(id).into_iter().for_each(|listener| self.answer(listener, &message));
                }
            }
            Err(_) => {}
        }
    }

    pub(super) fn job_finished(&mut self, id: u32) {
        for stream in [1, 2] {
            self.unwatch(Source::Pipe(id, stream));
        }
        let Some(Job { result: Some(result), exec, .. }) = self.jobs.get(&id) else { return };
        let (result, named) = (result.clone(), exec.name.is_some());
        for listener in self.listeners(id) {
            self.answer(listener, &result);
            if let Some(connection) = self.connections.get_mut(&listener) {
                connection.closing = true;
            }
        }
        if !named {
            self.jobs.remove(&id);
        }
        self.forget_old_jobs();
    }

    /// Finished scripts beyond the limit, oldest first.
    pub(super) fn forget_old_jobs(&mut self) {
        while self.jobs.len() > NAMED_MAX {
            let Some(oldest) = self.jobs.iter().find(|(_, job)| !job.running()).map(|(&id, _)| id) else { return };
            self.jobs.remove(&oldest);
        }
    }
}
