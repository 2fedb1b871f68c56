# /// script
# requires-python = "==3.11.*"
# dependencies = ["onnx==1.23.2", "onnxruntime==1.23.2", "numpy==2.4.6"]
# ///
"""Prints what onnxruntime makes of corners that the specification leaves open: `uv run quirks.py`. `tests/it/onnx.rs` has the answers."""

import numpy as np, onnxruntime as ort, onnx
from onnx import helper, TensorProto as TP
ort.set_default_logger_severity(4)
def graph(node,version,kind=TP.FLOAT):
    outs=[helper.make_tensor_value_info("label",TP.INT64,["N"])] if 'Class' in node.op_type else []
    outs.append(helper.make_tensor_value_info("Y",kind if node.op_type=='TreeEnsemble' else TP.FLOAT,["N",None]))
    return helper.make_model(helper.make_graph([node],"t",[helper.make_tensor_value_info("X",kind,["N",1])],outs),opset_imports=[helper.make_opsetid("ai.onnx.ml",version),helper.make_opsetid("",21)],ir_version=10)
def run(m,x=0.0,kind=np.float32):
    try:
        o=ort.SessionOptions();o.intra_op_num_threads=1
        s=ort.InferenceSession(m.SerializeToString(),o,providers=['CPUExecutionProvider'])
        return s.run(["Y"],{"X":np.array([[x]],kind)})[0].tolist()
    except Exception as e: return 'ERR '+str(e)[-160:]
def v3(op,weights,**k):
    p='class' if 'Class' in op else 'target'
    # weights: list of (node, id, w)
    a=dict(nodes_treeids=[0]*3,nodes_nodeids=[0,1,2],nodes_featureids=[0]*3,nodes_values=[0.,0.,0.],nodes_modes=['BRANCH_LEQ','LEAF','LEAF'],nodes_truenodeids=[1,0,0],nodes_falsenodeids=[2,0,0])
    a|={p+'_treeids':[0]*len(weights),p+'_nodeids':[w[0] for w in weights],p+'_ids':[w[1] for w in weights],p+'_weights':[float(w[2]) for w in weights]}
    a|=k
    return graph(helper.make_node(op,["X"],["label","Y"] if 'Class' in op else ["Y"],domain="ai.onnx.ml",**a),3)
R,C='TreeEnsembleRegressor','TreeEnsembleClassifier'; L=dict(classlabels_int64s=[0,1])
print('1 target LOGISTIC', run(v3(R,[(1,0,1.5),(2,0,2.)],n_targets=1,post_transform='LOGISTIC')))
print('2 targets sparse base', run(v3(R,[(1,0,1.5),(2,1,2.)],n_targets=2,base_values=[10.,20.])))
print('leaf without weight', run(v3(R,[(1,0,1.5)],n_targets=1),1.0))
print('dup weights 1 target', run(v3(R,[(1,0,1.5),(1,0,5.),(2,0,2.)],n_targets=1)))
for post in ('NONE','LOGISTIC','SOFTMAX'):
    print(post,'ids0 pos', run(v3(C,[(1,0,1.5),(2,0,2.)],post_transform=post,**L)))
    print(post,'ids0 mixed', run(v3(C,[(1,0,1.5),(2,0,-2.)],post_transform=post,**L)))
    print(post,'ids0 mixed base', run(v3(C,[(1,0,1.5),(2,0,-2.)],post_transform=post,base_values=[.25],**L)))
    print(post,'ids1 pos', run(v3(C,[(1,1,1.5),(2,1,2.)],post_transform=post,**L)))
    print(post,'ids1 mixed', run(v3(C,[(1,1,1.5),(2,1,-2.)],post_transform=post,**L)))
    print(post,'ids1 mixed base1', run(v3(C,[(1,1,1.5),(2,1,-2.)],post_transform=post,base_values=[.25],**L)))
    print(post,'ids1 mixed base2', run(v3(C,[(1,1,1.5),(2,1,-2.)],post_transform=post,base_values=[.25,.5],**L)))
    print(post,'ids0 mixed base2', run(v3(C,[(1,0,1.5),(2,0,-2.)],post_transform=post,base_values=[.25,.5],**L)))
def v5(agg=1,post=0,nt=1,kind=TP.FLOAT,mem=None,track=0,x=0.):
    t=lambda v:helper.make_tensor('t',kind,[len(v)],v)
    a=dict(n_targets=nt,aggregate_function=agg,post_transform=post,tree_roots=[0],nodes_modes=helper.make_tensor('t',TP.UINT8,[1],[6 if mem else 0]),nodes_splits=t([0.]),nodes_featureids=[0],nodes_truenodeids=[0],nodes_falsenodeids=[1],nodes_trueleafs=[1],nodes_falseleafs=[1],leaf_targetids=[0,nt-1],leaf_weights=t([1.5,2.5]),nodes_missing_value_tracks_true=[track])
    if mem: a['membership_values']=t(mem)
    return graph(helper.make_node('TreeEnsemble',["X"],["Y"],domain="ai.onnx.ml",**a),5,kind)
for post in range(3): print('v5 post',post, run(v5(post=post)), run(v5(post=post,nt=2)))
nan=float('nan')
print('member nan track', run(v5(mem=[1.,2.,nan],track=1),nan), run(v5(mem=[1.,2.,nan],track=0),nan), run(v5(mem=[1.,2.,nan]),1.5),run(v5(mem=[1.5,2.,100.,nan]),1.5),run(v5(mem=[1.5,2.,100.,nan]),1.2),run(v5(mem=[1.,2.,3.,nan]),-0.0),run(v5(mem=[1.,2.,31.,nan]),2.0))
print('non-contiguous', run(v3(R,[(1,0,1.5),(2,0,2.)],n_targets=1)))
print('int track values 2', run(v3(R,[(1,0,1.5),(2,0,2.)],n_targets=1,nodes_missing_value_tracks_true=[2,0,0]),nan))
