//! Plans of whole Dockerfiles.
