"""Functions on arrays that turn frames and spectra into valence, and thin consumers of the document stream."""
