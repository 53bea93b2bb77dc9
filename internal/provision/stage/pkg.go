// Package stage carries provisioning out stage by stage, all in one process or
// each in its own: the config that the fetch stages found and what a stage
// leaves to later ones are kept in files between them.
//
//	s := &stage.Session{Files: stage.DefaultFiles, Base: base, User: user, Target: open, Facts: gather}
//	err := s.Run(ctx, provision.StageFetchOffline, provision.StageFetch, provision.StageDisks)
//
// fetch-offline has no network. When one is needed it leaves the neednet file,
// and Run stops there: whoever runs the stages brings the network up and goes
// on, with fetch if there is no cache yet. Where fetch-offline did find the
// config, a fetch that follows it in the same Run is left out.
//
// Base configs are read again by every process and lie below the user's
// config, which is the only one in the cache.
package stage
