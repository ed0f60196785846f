// What releases from 2.5 on keep with the execution of a DAG, and how they list executions: all of
// them, not the first 20. Added to backend/src/v2/metadata.

package metadata

import (
	"context"
	"fmt"
	"sort"

	pb "github.com/kubeflow/pipelines/third_party/ml-metadata/go/ml_metadata"
)

const keyDagOutputs = "dag_outputs"

// DagOutputs is what was kept of the outputs of a DAG; nothing if the execution is of no DAG.
func (e *Execution) DagOutputs() string {
	return e.GetExecution().GetCustomProperties()[keyDagOutputs].GetStringValue()
}

// IsIterator tells the execution of a loop from those of its iterations.
func (e *Execution) IsIterator() bool {
	_, counted := e.GetExecution().GetCustomProperties()[keyIterationCount]
	return counted
}

// GetIterations gives the executions of a loop's iterations, in order.
func (c *Client) GetIterations(ctx context.Context, loop *Execution, pipeline *Pipeline) ([]*Execution, error) {
	filter := fmt.Sprintf("custom_properties.parent_dag_id.int_value = %v", loop.GetID())
	listed, err := c.executionsWhere(ctx, pipeline, filter)
	if err != nil {
		return nil, err
	}
	found := make([]*Execution, 0, len(listed))
	for _, each := range listed {
		found = append(found, &Execution{execution: each})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].iterationIndex() < found[j].iterationIndex() })
	return found, nil
}

func (e *Execution) iterationIndex() int64 {
	return e.GetExecution().GetCustomProperties()[keyIterationIndex].GetIntValue()
}

// executionsWhere lists the executions of a run, page by page.
func (c *Client) executionsWhere(ctx context.Context, pipeline *Pipeline, filter string) ([]*pb.Execution, error) {
	var found []*pb.Execution
	token := ""
	for {
		answer, err := c.svc.GetExecutionsByContext(ctx, &pb.GetExecutionsByContextRequest{
			ContextId: pipeline.pipelineRunCtx.Id,
			Options:   &pb.ListOperationOptions{FilterQuery: &filter, NextPageToken: &token},
		})
		if err != nil {
			return nil, err
		}
		found = append(found, answer.GetExecutions()...)
		if token = answer.GetNextPageToken(); token == "" {
			return found, nil
		}
	}
}
