// What Kubeflow's API server names of SQLite, which is a C library: it is for its own tests only.
package sqlite3

// Error is what the database of those tests would answer.
type Error struct{ Code int }

func (Error) Error() string { return "there is no SQLite in this build" }

// ErrConstraint is the code of a duplicate.
const ErrConstraint = 19
