// A run that is retried, as later releases have it: its nodes name no node that was taken out, such as
// the first attempt of a task that succeeded in the second. In 2.0.5 Argo ended such a run as failed.
// Added to backend/src/common/util.

package util

import workflowapi "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"

// forgetMissing takes out of each node what is not among them.
func forgetMissing(nodes map[string]workflowapi.NodeStatus) {
	known := func(ids []string) []string {
		var found []string
		for _, id := range ids {
			if _, ok := nodes[id]; ok {
				found = append(found, id)
			}
		}
		return found
	}
	for id, node := range nodes {
		node.Children, node.OutboundNodes = known(node.Children), known(node.OutboundNodes)
		nodes[id] = node
	}
}
