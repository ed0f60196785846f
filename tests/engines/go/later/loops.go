// A loop as later releases have it: a DAG of its own, which holds the driver and the iterations. One
// without iterations has succeeded then; in 2.0.5 it was skipped, and so was all that followed.
// Added to backend/src/v2/compiler/argocompiler.

package argocompiler

import (
	wfapi "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/kubeflow/pipelines/api/v2alpha1/go/pipelinespec"
)

// loopTask puts what iteratorTask makes into a template, and gives the one task that calls it.
func (c *workflowCompiler) loopTask(name string, task *pipelinespec.PipelineTaskSpec, taskJSON string, parentDagID string) ([]wfapi.DAGTask, error) {
	inside, err := c.iteratorTask("iteration", task, taskJSON, inputParameter(paramParentDagID))
	if err != nil {
		return nil, err
	}
	inside[0].Depends = "" // what the driver waits for, the whole loop waits for
	loop := &wfapi.Template{
		Inputs: wfapi.Inputs{Parameters: []wfapi.Parameter{{Name: paramParentDagID}}},
		DAG:    &wfapi.DAGTemplate{Tasks: inside},
	}
	if limit := int64(task.GetIteratorPolicy().GetParallelismLimit()); limit > 0 {
		loop.Parallelism = &limit
	}
	template, err := c.addTemplate(loop, task.GetComponentRef().GetName()+"-"+name+"-iterator")
	if err != nil {
		return nil, err
	}
	return []wfapi.DAGTask{{
		Name:     name,
		Template: template,
		Depends:  depends(task.GetDependentTasks()),
		Arguments: wfapi.Arguments{Parameters: []wfapi.Parameter{
			{Name: paramParentDagID, Value: wfapi.AnyStringPtr(parentDagID)},
		}},
	}}, nil
}
